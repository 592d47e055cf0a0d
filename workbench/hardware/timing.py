"""Timing one piece of work on a CPU or a GPU: raw samples, warm-up apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

MIN_SAMPLES = 3
MAX_SAMPLES = 200
_CPU_SAMPLE_S = 1e-3  # shorter work is repeated within a sample, above the clock's own cost
_CUDA_SAMPLE_S = 5e-3  # long enough for the queue to hide the cost of each launch

Work = Callable[[], object]


def time_work(work: Work, device: Any, budget_s: float) -> list[float]:
    """Seconds per call of ``work`` on ``device`` (a torch.device): >= 3 samples, ~``budget_s``."""
    return time_cuda(work, budget_s) if device.type == "cuda" else time_cpu(work, budget_s)


def time_cpu(work: Work, budget_s: float) -> list[float]:
    """Seconds per call, by the wall clock."""

    def sample(calls: int) -> float:
        begin = time.perf_counter()
        for _ in range(calls):
            work()
        return (time.perf_counter() - begin) / calls

    return _collect(sample, budget_s, _CPU_SAMPLE_S)


def time_cuda(work: Work, budget_s: float) -> list[float]:
    """Seconds per call on the current CUDA stream, between two events on the GPU."""
    import torch

    def sample(calls: int) -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(calls):
            work()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1e3 / calls

    return _collect(sample, budget_s, _CUDA_SAMPLE_S)


def _collect(sample: Callable[[int], float], budget_s: float, sample_s: float) -> list[float]:
    """Samples until the budget is spent. The first call warms up and is not among them."""
    sample(1)
    begin = time.perf_counter()
    calls = max(1, round(sample_s / max(sample(1), 1e-9)))
    samples: list[float] = []
    while len(samples) < MAX_SAMPLES and (
        len(samples) < MIN_SAMPLES or time.perf_counter() - begin < budget_s
    ):
        samples.append(sample(calls))
    return samples
