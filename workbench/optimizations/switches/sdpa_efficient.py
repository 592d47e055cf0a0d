"""Computes attention with the memory-efficient kernel.

What: ``torch.nn.attention.sdpa_kernel`` with the ``EFFICIENT_ATTENTION`` backend alone.
Why: scores stay on the chip; unlike the flash kernel it takes masks and float32.
When not: at one query a row over a short cache, where launching costs more than computing.
Source: Rabe and Staats 2021 (arXiv 2112.05682), xFormers; RTX50 asks for it.
Contract: within tolerance; the same sums in another order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workbench.optimizations.switch import TOLERANCE, Switch, only_cuda


@contextmanager
def _on(_: str) -> Iterator[None]:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.EFFICIENT_ATTENTION):  # alone: torch raises where it can't be used
        yield


SWITCH = Switch(
    name="sdpa_efficient",
    summary="memory-efficient attention kernel",
    contract=TOLERANCE,
    process=_on,
    supported=only_cuda,
    where="CUDA",
    conflicts=("sdpa_math", "sdpa_flash", "flash_attention"),
)
