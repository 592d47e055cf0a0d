"""Keeps the caches and the codec's state between requests, instead of making them anew for each.

What: one frame step (key/value caches, positions, draws) for a batch size, and one codec state,
reset at the start of a request. Off: each request allocates and zeroes its own.
Why: CSM-1B's caches are 67 MB a row in bf16; making them costs time before the first sound, and
their address changes, so that nothing that was captured for them can be replayed.
When not: where an engine speaks rarely and memory is wanted for other things in between.
Source: the advice for RTX 50 cards ("buffer pool: no allocation after warm-up").
Contract: exact; a row's cache is overwritten before it is read.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import EXACT, Switch


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, buffer_pool=True)


SWITCH = Switch(
    name="buffer_pool",
    summary="caches kept between requests",
    contract=EXACT,
    change=_on,
    requires=("frame_step",),
    metric="ttfa_ms",
)
