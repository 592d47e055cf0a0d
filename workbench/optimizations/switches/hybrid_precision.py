"""Runs the generative networks in 16 bits and leaves the codec in float32.

What: backbone and depth decoder are cast to the site's 16-bit type when they are loaded: half
the bytes a frame reads. The codec, with its convolutions, stays in float32.
Why: at batch 1 the time goes into reading weights; sound is most sensitive to the codec.
When not: for weights that fit the CPU's caches, where casting costs more than reading.
Source: RTX50 ("hybrid precision": STFT and tokenizer in float32, generative models in bf16).
Contract: lossy; logits round, so that codes part after some frames. Words must stay.
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
    return replace(options, dtype="half")


SWITCH = Switch(
    name="hybrid_precision",
    summary="16-bit networks, float32 codec",
    contract=lossy(0.02),
    change=_on,
    supported=_supported,
    where="CPU, CUDA 6.0+",
    conflicts=("autocast", "bf16", "fp16"),
)
