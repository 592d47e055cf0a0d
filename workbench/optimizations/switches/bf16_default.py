"""Makes bfloat16 the default type of new tensors. Kept to be refuted.

What: ``torch.set_default_dtype(torch.bfloat16)`` while the engine speaks.
Why: it is claimed to speed inference up; but weights keep the type they were loaded in, and only
tensors made without a type change, which here are next to none.
When not: ever, as tables made in passing (positions, masks) lose precision; use hybrid_precision.
Source: FERN's quick wins ("default dtype bf16").
Contract: lossy; nothing should change, and what does is rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workbench.optimizations.switch import Switch, lossy


@contextmanager
def _on(_: str) -> Iterator[None]:
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


SWITCH = Switch(
    name="bf16_default",
    summary="bfloat16 as the default type",
    contract=lossy(0.02),
    process=_on,
)
