"""Speaks a short request before ``load`` returns.

What: ``load`` runs the engine's warm-up: caches are allocated, kernels chosen, compilers run.
Why: all that happens once; without it the first request pays.
When not: where loading itself is what one waits for, as the time only moves there.
Source: every system here warms up (FERN, F5-TTS, VoiceReel; RTX50 five times before a capture).
Contract: exact; the warm-up draws from a seed of its own.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import EXACT, Switch


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, warm_up=True)


SWITCH = Switch(
    name="warmup",
    summary="a first request before the first request",
    contract=EXACT,
    change=_on,
    workload="first_call",
    metric="first_call_ms",
)
