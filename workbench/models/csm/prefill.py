"""The prefill in buckets: prompts of any length from a few captured ones."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial

import torch

from workbench.models.csm.frame import FrameStep
from workbench.models.csm.graphs import Capture

# Positions that a prompt is padded to; beyond them, all that the caches have. Short prompts take
# the time of one read of the weights whatever their length, so the steps may be wide there.
LENGTHS = (32, 64, 128, 256, 384, 512, 768, 1024, 1536)


class BucketedPrefill:
    """``FrameStep.read_prompts`` from captured work, one for each of ``lengths``.

    A prompt is put into a static buffer and padded with zeros on the right to the next length.
    Attention is causal, so no position of the prompt sees the padding. What the padding writes
    to the caches lies behind the row's position, where a frame writes before it reads. So the
    result is that of the prompt alone, but for the rounding of products of another shape.

    Prompts are read one by one: a bucket is one graph, whatever the number of rows, and a row that
    starts beside others does the same work as alone.
    """

    def __init__(self, step: FrameStep, capture: Capture) -> None:
        self._step = step
        self._capture = capture
        networks = step.networks
        limit = step.positions_limit
        self.lengths = (*(length for length in LENGTHS if length < limit), limit)
        table, norm = networks.text_table.weight, step.backbone.norm.weight
        width = networks.head.in_features
        self._prompt = table.new_zeros(1, limit, width)
        self._hidden = norm.new_zeros(1, width)
        self._last = torch.zeros(1, dtype=torch.int64, device=networks.device)
        self._row = torch.zeros(1, dtype=torch.int64, device=networks.device)
        self._replays: dict[int, Callable[[], None]] = {}

    @property
    def graphs(self) -> int:
        """How many have been captured."""
        return len(self._replays)

    def __call__(
        self, prompts: Sequence[torch.Tensor], ends: torch.Tensor, rows: torch.Tensor | None
    ) -> torch.Tensor:
        """See ``FrameStep.read_prompts``."""
        places = self._step.backbone.rows if rows is None else rows
        made = []
        for index, prompt in enumerate(prompts):
            length = len(prompt)
            size = self.lengths[bisect_left(self.lengths, length)]
            self._prompt[0, :length] = prompt
            self._prompt[0, length:size] = 0
            self._last.copy_(ends[index : index + 1] - 1)
            self._row.copy_(places[index : index + 1])
            self._replay(size)()
            made.append(self._hidden.clone())
        return torch.cat(made)

    def capture_all(self) -> None:
        """Captures every length that isn't yet; overwrites what the first row's caches hold."""
        for buffer in (self._prompt, self._last, self._row):
            buffer.zero_()
        for size in self.lengths:
            self._replay(size)

    def _replay(self, size: int) -> Callable[[], None]:
        # No state to restore: the same prompt writes the same again, however often it is read.
        if size not in self._replays:
            self._replays[size] = self._capture(partial(self._work, size), ())
        return self._replays[size]

    def _work(self, size: int) -> None:
        row = None if self._step.batch_size == 1 else self._row
        hidden = self._step.read_prompt(self._prompt[:, :size], row)
        self._hidden.copy_(hidden[0].index_select(0, self._last))


def buckets_of(step: FrameStep | None) -> BucketedPrefill | None:
    """The buckets that ``step`` reads its prompts from; None where it reads them as they come."""
    reader = None if step is None else step.read_prompts
    return reader if isinstance(reader, BucketedPrefill) else None
