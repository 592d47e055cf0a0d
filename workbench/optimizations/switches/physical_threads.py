"""Computes on as many CPU threads as there are physical cores.

What: intra-op threads = physical cores this process may use, while the engine speaks.
Why: two hardware threads of a core share its multipliers, so a second one only adds waiting.
When not: for small networks, whose products are too short to share; beside other busy programs,
as all threads wait for the slowest.
Source: PyTorch, "Performance Tuning Guide" (CPU threads); claimed by RTX50.
Contract: within tolerance; sums are split in other places, so that the last bits can differ.
"""

from __future__ import annotations

import os
from dataclasses import replace

from workbench.hardware import cpu
from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import TOLERANCE, Switch


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, threads=usable_cores())


def usable_cores() -> int:
    """Physical cores of this machine, or the CPUs this process may run on where those are less."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cpu.physical_cores() or allowed or 1, allowed or 1)


SWITCH = Switch(
    name="physical_threads",
    summary="one CPU thread a physical core",
    contract=TOLERANCE,
    change=_on,
)
