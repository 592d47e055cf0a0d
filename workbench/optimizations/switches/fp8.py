"""Keeps the networks' weights in 8-bit floats.

What: torchao's ``Float8WeightOnlyConfig`` (e4m3: 4 bits of exponent, 3 of mantissa) on the linear
layers of backbone and depth decoder, one scale a row; the heads and the codec stay as they are.
Compiled with inductor's freezing.
Why: the bytes of ``int8`` (half of the bf16 ones), widened by one instruction where a GPU knows
the type; at batch 1 bytes are the time.
When not: where sound counts and ``int8`` runs as well: of weights spread like a bell it keeps a
fourth of the precision; on the CPU, which widens them bit by bit; on transformers'
``generate``, as ``int8``.
Source: torchao (``quantize_``); the format: Micikevicius et al. 2022, "FP8 Formats for Deep
Learning" (arXiv 2209.05433).
Contract: lossy; weights round to 4 significant bits, so that codes part after a few frames. Words
must stay.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.installed import torchao_missing
from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import Site, Switch, lossy


def _supported(site: Site) -> str:
    if site.capability is not None and site.capability < (8, 9):
        had = ".".join(map(str, site.capability))
        return f"8-bit floats need compute capability 8.9, this GPU has {had}"
    return torchao_missing()


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, quantization="fp8")


SWITCH = Switch(
    name="fp8",
    summary="8-bit floating-point weights (torchao)",
    contract=lossy(0.05),
    change=_on,
    supported=_supported,
    where="CPU, CUDA 8.9+, with torchao",
    requires=("frame_step", "torch_compile"),
    conflicts=("autocast", "int8", "int8_dynamic"),
)
