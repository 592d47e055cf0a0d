"""Where the time goes: named stages of one synthesis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

STAGE_RANGE = "stage: "  # begins the name of a stage's range in a profiler's trace


class StageClock:
    """Adds up time per named stage; does nothing, at no cost worth naming, when disabled.

    A profiler that runs sees each stage as a range, whether or not the clock is enabled.
    On a GPU each stage is closed by a synchronization, so that its work is counted where it was
    asked for; timed runs are therefore slower than untimed ones.
    """

    def __init__(self, enabled: bool, device: torch.device) -> None:
        self.enabled = enabled
        self.milliseconds: dict[str, float] = {}
        self._synchronize: Callable[[], None] | None = (
            torch.cuda.synchronize if enabled and device.type == "cuda" else None
        )

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Times the block as part of stage ``name``."""
        if not self.watched:
            yield
            return
        started = self.now()
        try:
            with torch.profiler.record_function(STAGE_RANGE + name):
                yield
        finally:
            self.add(name, self.now() - started)

    @property
    def watched(self) -> bool:
        """Whether anybody wants to know: this clock is enabled, or a profiler runs."""
        return self.enabled or torch.autograd._profiler_enabled()

    def now(self) -> float:
        """Seconds on the host's clock, the device's queue drained."""
        if self._synchronize:
            self._synchronize()
        return time.perf_counter()

    def add(self, name: str, seconds: float) -> None:
        """Counts ``seconds`` to stage ``name``."""
        self.milliseconds[name] = self.milliseconds.get(name, 0.0) + seconds * 1000

    def summary(self, total_ms: float) -> dict[str, float]:
        """The stages and ``host``, the rest of ``total_ms``; empty when disabled."""
        if not self.enabled:
            return {}
        rest = total_ms - sum(self.milliseconds.values())
        return {**self.milliseconds, "host": max(rest, 0.0)}
