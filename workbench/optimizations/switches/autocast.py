"""Keeps float32 weights and casts inputs of products to 16 bits on the fly.

What: ``torch.autocast`` around the generative networks, in the site's 16-bit type; the codec
stays in float32.
Why: products run on 16-bit units although the checkpoint stays as it is.
When not: at batch 1, where reading weights is the limit: float32 weights are read, and read
again for every cast, which lasts no longer than a frame.
Source: PyTorch, "Automatic Mixed Precision"; claimed by FERN and F5-TTS.
Contract: lossy; products round, so that codes part after some frames. Words must stay.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.dtypes import half_dtype
from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import Site, Switch, lossy


def _supported(site: Site) -> str:
    if half_dtype(site) == "float32":
        return "this GPU has no fast 16-bit type (compute capability below 6.0)"
    return ""


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, autocast_dtype="half")


SWITCH = Switch(
    name="autocast",
    summary="16-bit products from float32 weights",
    contract=lossy(0.02),
    change=_on,
    supported=_supported,
    where="CPU, CUDA 6.0+",
    conflicts=("hybrid_precision", "bf16", "fp16", "int8", "int8_dynamic", "fp8"),
)
