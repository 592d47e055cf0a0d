"""Makes a frame in two native calls instead of a thousand operations of PyTorch.

What: the backbone's step is one call of our own kernels, and the depth decoder's whole loop
(layers, heads and sampling of all codebooks) another; norms, rotations, attention and gates run
between the products without leaving C++. float32 weights that bfloat16 holds exactly are read as
bfloat16, half the bytes, with the same products. A third call reads the prompt of float32 networks,
if it isn't long.
Why: on a CPU a small model's frame is mostly the cost of starting operations, and compiling takes
seconds. This starts at once.
When not: for large batches, where PyTorch's products use each weight many times; while weights are
being changed. Packed weights cost half of float32 ones' memory once more.
Source: this project, ``native/README.md``.
Contract: within tolerance; sums have another order, so that codes may differ where two are tied.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.native import native_status
from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import TOLERANCE, Site, Switch


def _supported(site: Site) -> str:
    if site.cuda:
        return "its kernels are for the CPU, and this runs on CUDA; use cuda_graphs"
    status = native_status()
    return status.reason and f"its kernels are {status.reason}; {status.remedy}"


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, native_layers=True)


SWITCH = Switch(
    name="native_layers",
    summary="decoder layers in native calls",
    contract=TOLERANCE,
    change=_on,
    supported=_supported,
    where="CPU, where native kernels are built",
    requires=(
        "frame_step",
        "sync_free_sampling",
        "fused_projections",
        "folded_depth_embedding",
    ),
    conflicts=(
        "torch_compile",
        "torch_jit",
        "cuda_graphs",
        "autocast",
        "fp16",
        "int8",
        "int8_dynamic",
        "fp8",
    ),
)
