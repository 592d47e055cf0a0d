"""Native calls that a profiler sees: their names in its trace, and the work that each does.

Kernels called through pointers are no operators of PyTorch, so that a trace would show them as time
in which nothing runs. While a profiler runs, each opens a range whose name says what it does at
least: ``native: frame_write flops=1200 bytes=600``. Without a profiler that costs one question.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch

RANGE = "native: "  # begins such a range's name


def watched(name: str, work: Callable[[], tuple[int, int]]) -> AbstractContextManager[object]:
    """A block in which the native ``name`` runs.

    ``work`` says what it has to do at least: operations (multiply-adds × 2) and bytes.
    """
    if not torch.autograd._profiler_enabled():
        return nullcontext()
    flops, nbytes = work()
    return torch.profiler.record_function(f"{RANGE}{name} flops={flops} bytes={nbytes}")
