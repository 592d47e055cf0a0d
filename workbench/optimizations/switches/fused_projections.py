"""One matmul for query, key and value, and one for gate and up, instead of five.

What: the weights stand side by side in one tensor; the model's own are views of it, so that no
memory is added.
Why: at batch 1 a matmul is one read of its weights plus a launch; fewer and larger ones come
closer to the memory's speed.
When not: weights that are quantized already (fuse first); large batches, where it hardly matters.
Source: common practice (vLLM, gpt-fast); this project's note on CSM.
Contract: within tolerance; a wider matmul may sum in another order.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import TOLERANCE, Switch


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, fused_projections=True)


SWITCH = Switch(
    name="fused_projections",
    summary="query-key-value and gate-up in one matmul each",
    contract=TOLERANCE,
    change=_on,
    requires=("frame_step",),
)
