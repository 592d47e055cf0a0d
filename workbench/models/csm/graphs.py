"""A whole frame as one CUDA graph: static buffers in, static buffers out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from workbench.models.csm.frame import FrameStep, Stage, untimed
from workbench.models.csm.sampling import Sampling

_WARM_UPS = 3  # calls before the capture: cuBLAS picks its workspaces, kernels are loaded


class Capture(Protocol):
    """Turns work on static buffers into something that repeats it."""

    def __call__(
        self, work: Callable[[], None], state: Sequence[torch.Tensor]
    ) -> Callable[[], None]:
        """A replay of ``work``; ``state``, which ``work`` changes, is as before when it returns."""
        ...


class CallCapture:
    """The CPU's stand-in: nothing is captured, a replay calls ``work`` again."""

    def __call__(
        self, work: Callable[[], None], state: Sequence[torch.Tensor]
    ) -> Callable[[], None]:
        """See ``Capture``."""
        return work


class CudaCapture:
    """Captures ``work`` as a CUDA graph; all its graphs share one memory pool.

    ``work`` runs a few times on a side stream first, as captures need. Sharing the pool is safe
    as graphs are replayed one at a time and hand over nothing but static buffers.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool: Any = None

    def __call__(
        self, work: Callable[[], None], state: Sequence[torch.Tensor]
    ) -> Callable[[], None]:
        """See ``Capture``."""
        with torch.cuda.device(self._device):
            before = [tensor.clone() for tensor in state]

            def restore() -> None:
                for tensor, saved in zip(state, before, strict=True):
                    tensor.copy_(saved)

            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARM_UPS):
                    work()
                    restore()  # each time, so that positions never run past the caches
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            # thread_local: another thread's CUDA calls (a monitor, a second engine) are allowed.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                work()
            self._pool = self._pool or graph.pool()
        return graph.replay


def capture_for(device: torch.device) -> Capture:
    """CUDA graphs on a GPU, their stand-in elsewhere."""
    return CudaCapture(device) if device.type == "cuda" else CallCapture()


class GraphedFrames:
    """``FrameStep.frame`` and ``following`` from captured graphs.

    One graph makes the first frame of a request, and one for each length of the caches that is
    read makes the frames after it: embedding, backbone step, sampling and depth loop. Each is
    captured when it is first needed. The random numbers are drawn outside, into a static buffer.
    """

    def __init__(self, step: FrameStep, capture: Capture) -> None:
        self.step = step
        self._capture = capture
        networks = step.networks
        shape = (step.batch_size, step.codebooks)
        self._codes = torch.zeros(shape, dtype=torch.int64, device=networks.device)
        weight = networks.head.weight
        self._hidden = torch.zeros(
            step.batch_size, networks.head.in_features, dtype=weight.dtype, device=weight.device
        )
        self._replays: dict[tuple[object, ...], Callable[[], None]] = {}

    @property
    def graphs(self) -> int:
        """How many have been captured."""
        return len(self._replays)

    def frame(
        self,
        hidden: torch.Tensor,
        sampling: Sampling,
        generator: torch.Generator | None,
        stage: Stage = untimed,
    ) -> torch.Tensor:
        """See ``FrameStep.frame``."""
        self._hidden.copy_(hidden)

        def work() -> None:
            self._codes.copy_(self.step.write(self._hidden))

        return self._run(0, work, sampling, generator, stage)

    def following(
        self,
        codes: torch.Tensor,
        sampling: Sampling,
        generator: torch.Generator | None,
        stage: Stage = untimed,
    ) -> torch.Tensor:
        """See ``FrameStep.following``."""
        self._codes.copy_(codes)
        slots = self.step.slots_read()

        def work() -> None:
            hidden = self.step.read(self._codes, self.step.positions, slots)
            self.step.positions += 1
            self._codes.copy_(self.step.write(hidden))

        made = self._run(len(slots), work, sampling, generator, stage)
        self.step.moved()
        return made

    def _run(
        self,
        length: int,
        work: Callable[[], None],
        sampling: Sampling,
        generator: torch.Generator | None,
        stage: Stage,
    ) -> torch.Tensor:
        step = self.step
        step.use(sampling)
        step.draw(generator)
        # A temperature other than 0 lives in a buffer; what else sampling says is in the graph.
        greedy = (sampling.temperature == 0, sampling.depth_temperature == 0)
        key = (length, greedy, sampling.top_k, sampling.depth_top_k)
        with stage("graph"):
            if key not in self._replays:
                self._replays[key] = self._capture(work, (self._codes, step.positions))
            self._replays[key]()
        return self._codes.clone()
