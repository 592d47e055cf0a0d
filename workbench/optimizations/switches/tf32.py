"""Lets float32 matrix products and convolutions run on TensorFloat-32 tensor cores.

What: ``allow_tf32`` of cuBLAS and cuDNN: float32 inputs are rounded to 10 bits of mantissa. For
convolutions PyTorch allows it by itself, so that products are what changes.
Why: tensor cores multiply TF32 several times faster than CUDA cores multiply float32.
When not: with bf16 or fp16 weights, which don't use it; at batch 1, where memory is the limit.
Source: PyTorch, "CUDA semantics" (TF32); claimed by FERN and F5-TTS.
Contract: lossy; products round, so that codes part after some frames. Words must stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workbench.optimizations.precision import float32_precision_kept
from workbench.optimizations.switch import Site, Switch, lossy, only_cuda


def _supported(site: Site) -> str:
    reason = only_cuda(site)
    if not reason and site.capability is not None and site.capability < (8, 0):
        reason = (
            f"TF32 needs compute capability 8.0, this GPU has {'.'.join(map(str, site.capability))}"
        )
    return reason


@contextmanager
def _on(_: str) -> Iterator[None]:
    import torch

    with float32_precision_kept():
        if not torch.backends.cuda.matmul.allow_tf32:  # matmul_precision may have said so already
            torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        yield


SWITCH = Switch(
    name="tf32",
    summary="TensorFloat-32 for float32 products",
    contract=lossy(0.02),
    process=_on,
    supported=_supported,
    where="CUDA 8.0+",
)
