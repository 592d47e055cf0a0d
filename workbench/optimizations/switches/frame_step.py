"""Leaves transformers' ``generate``: our frame step makes one frame at a time from static caches.

What: one Python step a frame (backbone, sampling, depth decoder) with preallocated key/value
caches, instead of ``generate``, which calls the depth decoder's own ``generate`` for each frame.
Why: ``generate`` does hundreds of launches' worth of host work a frame around small networks.
When not: where a feature of ``generate`` is needed (beams, logits processors, its streamers).
Source: this project, ``workbench.models.csm.frame``.
Contract: within tolerance; greedy codes are equal but for ties, as sums run in another order.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import TOLERANCE, Switch


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, generator="frame")


SWITCH = Switch(
    name="frame_step",
    summary="our frame step instead of generate",
    contract=TOLERANCE,
    change=_on,
)
