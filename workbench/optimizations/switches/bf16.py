"""Runs networks and codec in bfloat16.

What: all weights are cast to bfloat16 when they are loaded, the codec's too.
Why: half the bytes a frame reads, also of the codec.
When not: where the sound is judged closely: samples keep 8 bits of mantissa, and streamed and
offline decodes part by as much.
Source: FERN and F5-TTS ("bf16 from compute capability 8.0").
Contract: lossy; logits and samples round. Words must stay.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import Site, Switch, lossy


def _supported(site: Site) -> str:
    if site.cuda and (site.capability or (0, 0)) < (8, 0):
        return "bfloat16 has units from compute capability 8.0 only; use fp16"
    return ""


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, dtype="bfloat16", codec_dtype="bfloat16")


SWITCH = Switch(
    name="bf16",
    summary="bfloat16 networks and codec",
    contract=lossy(0.03),
    change=_on,
    supported=_supported,
    where="CPU, CUDA 8.0+",
    conflicts=("autocast", "hybrid_precision", "fp16"),
)
