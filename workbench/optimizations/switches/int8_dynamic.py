"""Multiplies 8-bit weights with inputs rounded to 8 bits on the fly.

What: torchao's ``Int8DynamicActivationInt8WeightConfig`` on the linear layers of backbone and
depth decoder, one scale a row of weights and one a row of inputs. Compiled with freezing.
Why: integer products (VNNI, tensor cores) are faster than float ones, and bytes are fewer.
When not: at batch 1, where products aren't the limit and rounding the inputs comes on top; on
transformers' ``generate``, which can't be compiled with frozen 8-bit weights (5.23).
Source: torchao (``quantize_``); claimed by FERN, planned by VoiceReel.
Contract: lossy; weights and inputs round to 8 bits. Words must stay.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.installed import torchao_missing
from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import Site, Switch, lossy


def _supported(_: Site) -> str:
    return torchao_missing()


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, quantization="int8_dynamic")


SWITCH = Switch(
    name="int8_dynamic",
    summary="8-bit weights and inputs (torchao)",
    contract=lossy(0.05),
    change=_on,
    supported=_supported,
    where="with torchao",
    requires=("frame_step", "torch_compile"),
    conflicts=("autocast", "int8", "fp8"),
)
