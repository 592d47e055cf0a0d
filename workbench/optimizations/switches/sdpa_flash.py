"""Computes attention with PyTorch's own flash kernel.

What: ``torch.nn.attention.sdpa_kernel`` with the ``FLASH_ATTENTION`` backend alone.
Why: scores stay in registers and cache instead of memory; on the CPU it takes masks and
key heads shared by several query heads, and is what PyTorch chooses there by itself.
When not: on CUDA, where it takes no masks, which caches of a fixed length need.
Source: Dao et al. 2022 (arXiv 2205.14135); claimed by FERN and RTX50.
Contract: within tolerance; the same sums in another order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workbench.optimizations.switch import TOLERANCE, Site, Switch


def _supported(site: Site) -> str:
    if not site.cuda:
        return ""
    return (
        "PyTorch's flash kernel takes no masks on CUDA, and attention over caches of a fixed "
        "length needs one; sdpa_efficient takes them"
    )


@contextmanager
def _on(_: str) -> Iterator[None]:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # alone: torch raises where it can't be used
        yield


SWITCH = Switch(
    name="sdpa_flash",
    summary="PyTorch's flash attention kernel",
    contract=TOLERANCE,
    process=_on,
    supported=_supported,
    where="CPU",
    conflicts=("sdpa_math", "sdpa_efficient", "flash_attention"),
)
