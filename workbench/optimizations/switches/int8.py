"""Keeps the networks' weights in 8-bit integers.

What: torchao's ``Int8WeightOnlyConfig`` on the linear layers of backbone and depth decoder, one
scale a row; the heads and the codec stay as they are. Compiled with inductor's freezing.
Why: a quarter of the float32 bytes, half the bf16 ones; at batch 1 bytes are the time.
When not: without compiling, where weights are unpacked in a step of their own, which is slower
than float32; on transformers' ``generate``, whose depth decoder can't be compiled with frozen
8-bit weights (transformers 5.23).
Source: torchao (``quantize_``); claimed by FERN, planned by VoiceReel.
Contract: lossy; weights round to 8 bits, so that codes part after some frames. Words must stay.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.installed import torchao_missing
from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import Site, Switch, lossy


def _supported(_: Site) -> str:
    return torchao_missing()


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, quantization="int8")


SWITCH = Switch(
    name="int8",
    summary="8-bit weights (torchao)",
    contract=lossy(0.03),
    change=_on,
    supported=_supported,
    where="with torchao",
    requires=("frame_step", "torch_compile"),
    conflicts=("autocast", "int8_dynamic", "fp8"),
)
