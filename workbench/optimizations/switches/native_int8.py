"""Keeps the networks' weights in 8-bit integers, multiplied by our own kernel.

What: the linear layers of backbone and depth decoder as ``workbench.native``'s ``Int8Linear``, one
scale a row; activations keep 15 bits. The heads and the codec stay as they are.
Why: a quarter of the float32 bytes, half the bf16 ones, without compiling; at batch 1 bytes are
the time.
When not: for long prompts and large batches, where arithmetic is the time and the weights are
widened first; for weights that fit the caches.
Source: this project, ``native/README.md``.
Contract: lossy; weights round to 8 bits, so that codes part after some frames. Words must stay.
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
    return replace(options, quantization="native_int8")


SWITCH = Switch(
    name="native_int8",
    summary="8-bit weights (native kernel)",
    contract=lossy(0.03),
    change=_on,
    supported=_supported,
    where="where native kernels are built",
    conflicts=("autocast", "int8", "int8_dynamic", "fp8", "fp16", "torch_jit"),
)
