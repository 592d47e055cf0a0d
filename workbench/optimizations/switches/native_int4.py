"""Keeps the depth decoder's weights in 4-bit integers, multiplied by our own kernel.

What: the linear layers of the depth decoder as ``workbench.native``'s ``Int4Linear``, a bfloat16
scale for each 32 weights (where 32 doesn't divide a layer's inputs, 8 bits instead); activations
keep 15 bits. Backbone, heads and codec stay as they are.
Why: a frame reads the depth decoder once for each codebook but the first, 31 times in CSM-1B: three
quarters of all bytes. 4.5 bits a weight are little more than a quarter of bfloat16's.
When not: for long prompts and large batches, where arithmetic is the time and the weights are
widened first; for weights that fit the caches; where 8 bits lose words already.
Source: this project, ``native/README.md``; scales for small groups as in llama.cpp's Q4_0.
Contract: lossy; weights round to 15 steps, so that codes part after some frames. Words must stay.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.native import native_status
from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import Site, Switch, lossy


def _supported(site: Site) -> str:
    status = native_status()
    if site.cuda:
        return status.cuda_reason and f"its CUDA kernels are {status.cuda_reason}"
    return status.reason and f"its kernels are {status.reason}; {status.remedy}"


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, quantization="native_int4")


SWITCH = Switch(
    name="native_int4",
    summary="4-bit weights of the depth decoder",
    contract=lossy(0.05),
    change=_on,
    supported=_supported,
    where="where native kernels are built",
    conflicts=("autocast", "int8", "int8_dynamic", "fp8", "native_int8", "fp16", "torch_jit"),
)
