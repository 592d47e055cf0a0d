"""Which dtype ``auto`` stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.optimizations.switch import Site

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16", "float16")


def half_dtype(site: Site) -> str:
    """The 16-bit type that ``site`` computes in, ``float32`` where it has none.

    On CUDA bfloat16 from compute capability 8.0, float16 from 6.0 (the rule of F5-TTS). On the
    CPU bfloat16: float16 products have no kernels there and run at a hundredth of the speed.
    """
    if not site.cuda:
        return "bfloat16"
    capability = site.capability or (0, 0)
    if capability >= (8, 0):
        return "bfloat16"
    return "float16" if capability >= (6, 0) else "float32"


def auto_dtype(site: Site, small: bool) -> str:
    """What networks run in where nothing is said: 16 bits, but small ones on the CPU in float32."""
    return "float32" if small and not site.cuda else half_dtype(site)


def torch_dtype(name: str) -> torch.dtype:
    """The dtype called ``name``, one of ``DTYPES``."""
    import torch

    dtype: torch.dtype = getattr(torch, name)
    return dtype
