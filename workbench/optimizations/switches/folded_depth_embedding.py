"""Looks a code's depth-decoder input up, instead of projecting its embedding each time.

What: the table of code embeddings times the projector from the backbone's width to the depth
decoder's, computed once when the engine is made.
Why: saves one matmul for each codebook after the second; on CSM-1B that projector is 4 MB in
bf16, read 31 times a frame. Costs memory: (K - 1) x vocabulary x depth width, 130 MB for CSM-1B in
bf16 and 1.6 MB for csm-nano in float32.
When not: where those megabytes are missing.
Source: this project's note on CSM.
Contract: within tolerance; the product is computed in another batch, so the last bit may differ.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import TOLERANCE, Switch


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, folded_depth_embedding=True)


SWITCH = Switch(
    name="folded_depth_embedding",
    summary="depth embeddings projected ahead of time",
    contract=TOLERANCE,
    change=_on,
    requires=("frame_step",),
)
