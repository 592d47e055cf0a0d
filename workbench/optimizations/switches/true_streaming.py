"""Decodes each frame of 80 ms the moment it is generated, instead of all frames at the end.

What: the codec carries its exact state from frame to frame and gives 80 ms of sound a frame.
Why: the first sound comes after one frame, not after the whole sentence; nothing gets shorter.
When not: where only the finished file counts; one offline decode costs less than many small ones.
Source: FERN's plan ("true streaming"); Mimi's causal architecture (Défossez et al. 2024,
arXiv 2410.00037).
Contract: within tolerance; the codes are the same, the sound equals the offline decode to 1e-3.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import TOLERANCE, Switch


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, streaming="true")


SWITCH = Switch(
    name="true_streaming",
    summary="each frame decoded as it is made",
    contract=TOLERANCE,
    change=_on,
    requires=("frame_step",),
    metric="ttfa_ms",
)
