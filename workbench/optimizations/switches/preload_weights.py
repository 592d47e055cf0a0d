"""Touches every page of the weights before ``load`` returns.

What: one byte of each 4 KiB page of every weight is read.
Why: weights mapped from a file come from the disk when they are first used, which would be the
first request.
When not: where loading itself is what one waits for; on a GPU, which has read them all by then.
Source: RTX50 ("weights preloaded (touched) before the first request").
Contract: exact; nothing is changed.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import EXACT, Switch


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, preload_weights=True)


SWITCH = Switch(
    name="preload_weights",
    summary="weights read before the first request",
    contract=EXACT,
    change=_on,
    workload="first_call",
    metric="first_call_ms",
)
