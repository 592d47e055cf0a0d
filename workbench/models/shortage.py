"""Telling an allocator's failure from other errors."""

from __future__ import annotations

import torch

_CPU_ALLOCATOR = "can't allocate memory"  # PyTorch's CPU allocator raises a plain RuntimeError


def is_shortage(problem: BaseException) -> bool:
    """Whether memory ran out: CUDA's allocator, Python's, or PyTorch's for the CPU."""
    return isinstance(problem, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(problem, RuntimeError) and _CPU_ALLOCATOR in str(problem)
    )
