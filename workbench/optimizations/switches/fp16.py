"""Runs networks and codec in float16.

What: all weights are cast to float16 when they are loaded, the codec's too.
Why: half the bytes a frame reads; 11 bits of mantissa where bfloat16 has 8.
When not: where activations pass 65,504, which becomes infinity; on CPUs without float16 units,
where products run at a hundredth of the speed of float32 (1 to 3 GFLOP/s measured).
Source: F5-TTS (``use_fp16``), VoiceReel ("half").
Contract: lossy; logits and samples round. Words must stay.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import Site, Switch, lossy


def _supported(site: Site) -> str:
    if site.cuda:
        slow = (site.capability or (0, 0)) < (6, 0)
        return "float16 is slow below compute capability 6.0" if slow else ""
    import torch

    # Without AVX-512 FP16 or AMX-FP16 products run element by element: seconds a frame.
    if torch.ops.mkldnn._is_mkldnn_fp16_supported():
        return ""
    return "this CPU has no float16 units: products would run at a hundredth of float32's speed"


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, dtype="float16", codec_dtype="float16")


SWITCH = Switch(
    name="fp16",
    summary="float16 networks and codec",
    contract=lossy(0.03),
    change=_on,
    supported=_supported,
    where="CUDA 6.0+, CPUs with float16 units",
    conflicts=("autocast", "hybrid_precision", "bf16"),
)
