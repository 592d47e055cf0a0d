"""Computes attention in plain steps: product, softmax, product.

What: ``torch.nn.attention.sdpa_kernel`` with the ``MATH`` backend alone.
Why: at one query a row there is nothing to tile, and plain products can be the fastest; it also
is the yardstick that fused kernels are compared with.
When not: for long prompts, whose whole score matrix it writes to memory.
Source: PyTorch, "scaled_dot_product_attention".
Contract: within tolerance; the same sums in another order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workbench.optimizations.switch import TOLERANCE, Switch


@contextmanager
def _on(_: str) -> Iterator[None]:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.MATH):  # alone: torch raises where it can't be used
        yield


SWITCH = Switch(
    name="sdpa_math",
    summary="attention in plain steps",
    contract=TOLERANCE,
    process=_on,
    conflicts=("sdpa_efficient", "sdpa_flash", "flash_attention"),
)
