"""CSM's codes by our frame step: each frame as soon as it is sampled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from workbench.engines.conditions import networks
from workbench.engines.csm.stages import StageClock
from workbench.errors import InputError
from workbench.models.csm.accelerate import accelerator
from workbench.models.csm.end import end_flag
from workbench.models.csm.frame import FrameStep
from workbench.models.csm.graphs import CallCapture, Capture, GraphedFrames, capture_for
from workbench.models.csm.load import LoadedCsm
from workbench.models.csm.networks import FrameNetworks
from workbench.models.csm.prefill import BucketedPrefill, buckets_of
from workbench.models.csm.prompt import Segment, token_ids
from workbench.models.csm.rows import RowFrames
from workbench.models.csm.sampling import Sampling
from workbench.models.csm.settings import FrameSettings
from workbench.optimizations.options import EngineOptions


def frame_settings(options: EngineOptions, config: Any) -> FrameSettings:
    """The frame step's part of ``options``, for a model of ``config``."""
    codebooks = options.codebooks
    return FrameSettings(
        codebooks=config.num_codebooks // 2 if codebooks == "half" else codebooks,
        fused_projections=options.fused_projections,
        folded_depth_embedding=options.folded_depth_embedding,
        sync_free_sampling=options.sync_free_sampling,
        compile_mode=options.compile_mode,
        jit=options.torch_jit,
        cuda_graphs=options.cuda_graphs,
        prefill_buckets=options.prefill_buckets,
        native_layers=options.native_layers,
        frozen=options.quantization is not None,
    )


class FrameStepGenerator:
    """Our frame step: static caches, no ``generate``; each frame as soon as it is sampled.

    ``networks`` is the module tree that it runs. Raises InputError for settings that the model
    can't have.
    """

    streams = True

    def __init__(self, csm: LoadedCsm, options: EngineOptions) -> None:
        self._csm = csm
        self._options = options
        self.networks = FrameNetworks(csm.model, frame_settings(options, csm.model.config))
        self._accelerator = accelerator(self.networks.settings)
        self._step: FrameStep | None = None
        self._frames: FrameStep | GraphedFrames | None = None

    def frames(
        self,
        prompts: Sequence[Sequence[Segment]],
        sampling: Sampling,
        seed: int,
        max_frames: int,
        clock: StageClock,
    ) -> Iterator[torch.Tensor]:
        """See ``CodeGenerator.frames``."""
        step, frames = self._for_batch(len(prompts))
        device = self.networks.device
        generator = torch.Generator(device).manual_seed(seed)
        ended = torch.zeros(len(prompts), dtype=torch.bool, device=device)
        flag = end_flag(device, self.networks.settings.sync_free_sampling)
        # networks is entered anew after each yield: it must not leak to the consumer.
        with networks(self._options, device):
            with clock("text"):
                ids = [token_ids(self._csm, prompt) for prompt in prompts]
            with clock("prefill"):
                hidden = step.prefill(
                    [self.embedded(step, p, i) for p, i in zip(prompts, ids, strict=True)]
                )
            codes = frames.frame(hidden, sampling, generator, clock)
        for index in range(max_frames):
            with networks(self._options, device):
                if index:
                    codes = frames.following(codes, sampling, generator, clock)
                ended |= step.ended(codes)
                done = flag.read(ended.all())
            yield codes
            if done:
                return

    def _for_batch(self, batch_size: int) -> tuple[FrameStep, FrameStep | GraphedFrames]:
        # One set of caches at a time: a batch of another size replaces it.
        step, frames = self._step, self._frames
        if (
            step is None
            or frames is None
            or step.batch_size != batch_size
            or not self._options.buffer_pool
        ):
            self._step = self._frames = step = frames = None
            capture = self.capture()
            step = self._new_step(batch_size, None, capture)
            frames = GraphedFrames(step, capture) if self.networks.settings.cuda_graphs else step
            self._step, self._frames = step, frames
        return step, frames

    def _new_step(self, batch_size: int, positions: int | None, capture: Capture) -> FrameStep:
        step = FrameStep(self.networks, batch_size, positions)
        self._accelerator(step)
        if self.networks.settings.prefill_buckets:
            step.read_prompts = BucketedPrefill(step, capture)
        return step

    @property
    def graphs(self) -> int:
        """CUDA graphs captured for the batch size in use; 0 without those switches."""
        frames = self._frames.graphs if isinstance(self._frames, GraphedFrames) else 0
        prefill = buckets_of(self._step)
        return frames + (prefill.graphs if prefill else 0)

    def capture_prefill(self, step: FrameStep | None = None) -> None:
        """Captures the prefill of every length, so that no request has to.

        For ``step``, of which no row may be running (None: the one in use); does nothing without
        that switch.
        """
        prefill = buckets_of(step or self._step)
        if prefill is not None:
            with networks(self._options, self.networks.device):
                prefill.capture_all()

    def capture(self) -> Capture:
        """How work on static buffers is repeated: CUDA graphs with that switch, else plain calls.

        One for all work whose graphs may share memory.
        """
        graphs = self.networks.settings.cuda_graphs
        return capture_for(self.networks.device) if graphs else CallCapture()

    def rows(self, count: int, positions: int | None, capture: Capture) -> RowFrames:
        """A frame step of its own for ``count`` rows that come and go.

        Raises InputError where the step doesn't sample sync-free: ``torch.multinomial`` has one
        generator for all rows, so that a row's draws would depend on its neighbours.
        """
        if not self.networks.settings.sync_free_sampling:
            raise InputError(
                "streams together without the optimization sync_free_sampling",
                "load with it, or leave `optimizations` out",
            )
        return RowFrames(self._new_step(count, positions, capture), capture, self._csm.sampling)

    def embedded(
        self, step: FrameStep, prompt: Sequence[Segment], tokens: torch.Tensor
    ) -> torch.Tensor:
        """The prompt whose token ids are ``tokens`` ``[T]`` as the backbone's input ``[T, H]``."""
        config = self._csm.model.config
        device = step.positions.device
        embedded = step.embed_text(tokens)
        codes = [segment.codes for segment in prompt if segment.codes is not None]
        if codes:
            embedded[tokens == config.audio_token_id] = step.embed_audio(
                torch.cat(codes, dim=1)[: step.codebooks].T.to(device)
            )
            end = torch.full((1, step.codebooks), step.eos, device=device)
            embedded[tokens == config.audio_eos_token_id] = step.embed_audio(end)
        return embedded
