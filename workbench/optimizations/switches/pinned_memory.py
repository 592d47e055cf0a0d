"""Moves prompts to the GPU and sound back through page-locked buffers.

What: tokens and PCM pass through staging buffers that are locked in memory and reused, with
``non_blocking`` copies.
Why: the GPU reads and writes locked pages directly; from other memory the driver copies twice.
When not: on the CPU, where nothing is copied; a frame's 8 KB take microseconds either way.
Source: NVIDIA, "How to Optimize Data Transfers in CUDA C/C++"; claimed by RTX50 and FERN.
Contract: exact; the same bytes.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import EXACT, Switch, only_cuda


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, pinned_memory=True)


SWITCH = Switch(
    name="pinned_memory",
    summary="copies through page-locked buffers",
    contract=EXACT,
    change=_on,
    supported=only_cuda,
    where="CUDA",
    workload="transfer",
    metric="transfer_ms",
)
