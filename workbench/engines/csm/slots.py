"""Frame step and codec for several streams at once: the device's part of a stream pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from workbench.engines.conditions import gradients_off, networks
from workbench.engines.csm.batches import free_bytes, row_bytes
from workbench.engines.csm.decoders import Decoders
from workbench.engines.csm.frame_generator import FrameStepGenerator
from workbench.engines.csm.transfer import Transfer
from workbench.errors import InputError
from workbench.models.csm.load import LoadedCsm
from workbench.models.csm.prompt import Segment, token_ids
from workbench.models.csm.rows import RowStart
from workbench.models.csm.sampling import Sampling
from workbench.optimizations.options import EngineOptions


@dataclass(frozen=True)
class SlotStart:
    """What a slot speaks next. ``anew``: another stream's first part, so the codec starts too;
    else the stream's next part, whose sound goes on where the part before ended.
    """

    slot: int
    prompt: Sequence[Segment]
    sampling: Sampling
    seed: int
    anew: bool


class Slots:
    """``count`` rows of caches and codec state. A frame is computed for all, used or not.

    ``positions`` are the backbone's for each slot (None: all that the model has). Raises
    InputError for numbers that the model or the memory can't have.
    """

    def __init__(
        self,
        csm: LoadedCsm,
        generator: FrameStepGenerator,
        decoders: Decoders,
        options: EngineOptions,
        transfer: Transfer,
        count: int,
        positions: int | None = None,
    ) -> None:
        config = csm.model.config
        most = config.max_position_embeddings
        if count < 1:
            raise InputError(f"{count} slots", "use at least one")
        if positions is not None and not 1 < positions <= most:
            raise InputError(f"{positions} positions a slot", f"use 2 to {most}")
        _check_memory(config, csm.model.lm_head.weight, count, positions)
        self.count = count
        self.positions = positions or most
        self._csm = csm
        self._generator = generator
        self._options = options
        self._transfer = transfer
        self._capture = generator.capture()
        self._rows = generator.rows(count, positions, self._capture)
        codec = csm.model.codec_model
        self._decoder = decoders.stream(count, max_step_frames=1)
        shape = (count, self._decoder.frame_samples)
        self._sound = torch.zeros(shape, dtype=codec.dtype, device=codec.device)
        self._decode: Callable[[], None] | None = None

    def start(self, starts: Sequence[SlotStart]) -> None:
        """Starts slots in one prefill; the others stay as they are."""
        step = self._rows.step
        with networks(self._options, self._generator.networks.device):
            rows = []
            for start in starts:
                ids = token_ids(self._csm, start.prompt)
                prompt = self._generator.embedded(step, start.prompt, ids)
                rows.append(RowStart(start.slot, prompt, start.sampling, start.seed))
            self._rows.start(rows)
        anew = [start.slot for start in starts if start.anew]
        if anew:
            self._decoder.reset(anew)

    def warm_up(self) -> None:
        """Captures what depends on the length of a prompt; no slot may be speaking."""
        self._generator.capture_prefill(self._rows.step)

    def stop(self, slot: int) -> None:
        """Lets the slot run idle."""
        self._rows.stop(slot)

    def frame(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Codes ``[B, K]``, whether they end the audio ``[B]``, and sound ``[B, N]`` float32.

        On the host. The sound of an end-of-audio frame is silence, which isn't to be played.
        """
        with networks(self._options, self._generator.networks.device):
            codes = self._rows.frame()
        with gradients_off(self._options):
            if self._decode is None:
                self._decode = self._capture(self._decoded, self._decoder.state())
            self._decode()
            made = self._transfer.to_host(codes)
            sound = self._transfer.to_host(self._sound.float())
            ended = self._rows.step.ended(made)
        return made.numpy(), ended.numpy(), sound.numpy()

    def _decoded(self) -> None:
        # An end-of-audio frame isn't sound: the codec goes on with the stream's next part.
        speaking = ~self._rows.step.ended(self._rows.codes)
        self._sound.copy_(self._decoder.frame(self._rows.codes, speaking))


def _check_memory(config: Any, weight: torch.Tensor, count: int, positions: int | None) -> None:
    """Refuses caches that can't fit, before the allocator does so halfway."""
    each = row_bytes(config, weight.dtype, positions)
    free = free_bytes(weight.device)
    if count * each > free:
        raise InputError(
            f"caches of {count:,} slots take {count * each / 2**30:.1f} GiB, "
            f"{free / 2**30:.1f} GiB are free",
            f"use at most {free // each:,} slots, or fewer positions for each",
        )
