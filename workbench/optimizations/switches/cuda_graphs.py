"""Replays a whole frame as one CUDA graph: one launch instead of hundreds.

What: embedding, backbone step, sampling and depth loop are captured once for each length of the
caches that is read (in steps of 64 positions), with static buffers; the random numbers are drawn
outside into one of them.
Why: at batch 1 kernels are shorter than their launches, so that a GPU waits for Python.
When not: on a CPU; with the first request of a length counted, which captures.
Source: CUDA graphs in PyTorch (``torch.cuda.CUDAGraph``); claimed by FERN and the RTX 50 advice.
Contract: exact; the same kernels on the same numbers.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import EXACT, Switch, only_cuda


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, cuda_graphs=True)


SWITCH = Switch(
    name="cuda_graphs",
    summary="a frame as one CUDA graph",
    contract=EXACT,
    change=_on,
    supported=only_cuda,
    where="CUDA",
    requires=("frame_step", "buffer_pool", "sync_free_sampling"),
    conflicts=("torch_jit",),
)
