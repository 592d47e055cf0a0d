"""Frames for rows that come and go, each with a prompt, a seed and a temperature of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from workbench.models.csm.frame import FrameStep
from workbench.models.csm.graphs import Capture
from workbench.models.csm.sampling import Sampling


@dataclass(frozen=True)
class RowStart:
    """What a row starts from: its prompt's embeddings ``[T, H]``, how it samples, its seed."""

    row: int
    prompt: torch.Tensor
    sampling: Sampling
    seed: int


class RowFrames:
    """A frame step whose rows start and stop between frames, whatever the others do.

    Every frame is computed for all rows, with the same shapes, so that it can be one CUDA graph
    for each length of the caches that is read; what comes of a row that isn't running means
    nothing. A row that has just started has its hidden state from the prefill: an execution mask
    keeps its position where it is, and the step that it goes through with the others is thrown
    away, as its next step writes the same place of the caches again.

    A row draws its random numbers from a generator of its own, as much as it does alone, so that
    its codes don't depend on its neighbours. The temperature is the row's own, too: as
    ``argmax(logits / t + gumbel)`` is ``argmax(logits + t * gumbel)``, it goes to the noise, and
    0 is greedy.

    ``sampling`` says the top-k, which is the same for all rows. The step must sample sync-free.
    """

    def __init__(self, step: FrameStep, capture: Capture, sampling: Sampling) -> None:
        self.step = step
        self._capture = capture
        networks = step.networks
        device, weight = networks.device, networks.head.weight
        rows, books = step.batch_size, step.codebooks
        self.codes = torch.zeros(rows, books, dtype=torch.int64, device=device)
        self._hidden = torch.zeros(
            rows, networks.head.in_features, dtype=weight.dtype, device=device
        )
        self._moving = torch.zeros(rows, dtype=torch.bool, device=device)
        self._draws = torch.ones(rows, books, networks.codes_per_book, device=device)
        self._temperatures = torch.zeros(rows, books, 1, device=device)
        self._generators: dict[int, torch.Generator] = {}  # of the rows that aren't greedy
        self._positions: dict[int, int] = {}  # of the rows that run, known on the host
        self._started: list[int] = []  # since the last frame
        self._replays: dict[int, Callable[[], None]] = {}
        # A temperature of 1 for the step, whose noise comes with each row's own already.
        self._sampling = Sampling(1.0, sampling.top_k, 1.0, sampling.depth_top_k)

    @property
    def running(self) -> list[int]:
        """The rows that have been started and not stopped."""
        return list(self._positions)

    def start(self, starts: Sequence[RowStart]) -> None:
        """Starts rows, running or not, in one prefill; the next ``frame`` is their first."""
        rows = [start.row for start in starts]
        index = torch.tensor(rows, device=self.codes.device)
        self._hidden[index] = self.step.prefill([start.prompt for start in starts], index).to(
            self._hidden.dtype
        )
        self._moving[index] = False
        self._started += rows
        for start in starts:
            row, sampling = start.row, start.sampling
            self._positions[row] = len(start.prompt)
            self._temperatures[row, 0] = sampling.temperature
            self._temperatures[row, 1:] = sampling.depth_temperature
            self._generators.pop(row, None)
            if not sampling.is_greedy:
                generator = torch.Generator(self.codes.device)
                self._generators[row] = generator.manual_seed(start.seed)

    def stop(self, row: int) -> None:
        """Lets the row run idle."""
        self._positions.pop(row, None)
        self._generators.pop(row, None)
        self._started = [other for other in self._started if other != row]
        self._moving[row] = False
        self._temperatures[row] = 0
        self.step.positions[row] = 0

    def frame(self) -> torch.Tensor:
        """The next frame's codes of all rows, ``[B, K]`` int64, in a buffer that is reused."""
        step = self.step
        step.furthest = max(self._positions.values(), default=0)
        step.use(self._sampling)
        self._draw()
        slots = step.slots_read()
        if len(slots) not in self._replays:
            self._replays[len(slots)] = self._capture(
                partial(self._work, slots), (self.codes, step.positions)
            )
        step.before_read()
        self._replays[len(slots)]()
        for row in self._positions:
            self._positions[row] += row not in self._started
        if self._started:
            self._moving[self._started] = True
            self._started = []
        return self.codes

    def _work(self, slots: torch.Tensor) -> None:
        step = self.step
        read = step.read(self.codes, step.positions, slots)
        step.positions += self._moving
        self.codes.copy_(step.write(torch.where(self._moving[:, None], read, self._hidden)))

    def _draw(self) -> None:
        """Each row's draws of one frame, in its own generator's order; the rest in one piece."""
        for row, generator in self._generators.items():
            self._draws[row].exponential_(generator=generator)
        gumbel = self._draws.log().neg_().mul_(self._temperatures)  # as ``sampling.gumbel_``
        # Not every generator excludes 0, whose logarithm times 0 would be no number.
        gumbel.masked_fill_(self._temperatures == 0, 0.0)
        self.step.noise.copy_(gumbel.transpose(0, 1))
