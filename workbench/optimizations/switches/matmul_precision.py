"""Lets float32 matrix products round their inputs, on whatever this machine has for that.

What: ``torch.set_float32_matmul_precision``. On CUDA both values mean TF32. On the CPU oneDNN may
use bfloat16 products for ``medium`` (AVX-512 BF16, AMX) and TF32 for ``high`` (newest AMX only).
Why: rounded products run several times faster where the hardware has units for them.
When not: with bf16 or fp16 weights, which have no float32 products; at batch 1 on a GPU.
Source: PyTorch, ``set_float32_matmul_precision``; claimed by FERN and F5-TTS.
Contract: lossy; products round, so that codes part after some frames. Words must stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workbench.optimizations.precision import float32_precision_kept
from workbench.optimizations.switch import Switch, lossy


@contextmanager
def _on(value: str) -> Iterator[None]:
    import torch

    with float32_precision_kept():
        torch.set_float32_matmul_precision(value)
        yield


SWITCH = Switch(
    name="matmul_precision",
    summary="rounded inputs of float32 products",
    contract=lossy(0.02),
    process=_on,
    values=("high", "medium"),
)
