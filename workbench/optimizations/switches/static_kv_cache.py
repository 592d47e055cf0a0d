"""Keeps the keys and values of transformers' ``generate`` in one block of fixed size.

What: ``StaticCache`` for the backbone, its length in steps of 256 positions, and
``cache_implementation="static"`` for the depth decoder. transformers' own compiling of static
caches stays off: that is the switch ``torch_compile``.
Why: the default cache grows by a concatenation, and so by a copy of all it holds, each frame;
fixed shapes are also what compiling and graphs need.
When not: where memory is short (the block is as long as the longest request); by itself it often
loses, as attention then reads the whole block.
Source: transformers' guide to caches; claimed by FERN (20-30 %). Our frame step has it built in.
Contract: within tolerance; attention over a masked block sums in another order.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import TOLERANCE, Switch


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, static_kv_cache=True)


SWITCH = Switch(
    name="static_kv_cache",
    summary="fixed-size caches in generate",
    contract=TOLERANCE,
    change=_on,
    part_of="frame_step",
)
