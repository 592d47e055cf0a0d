"""Decodes codes to sound in one native call.

What: Mimi's decoder (code vectors, upsampling, transformer, convolutions) as one call of our own
kernels, streamed frame by frame or for whole clips; a clip has the same bits either way.
Why: one frame is some 25 million operations for a small codec, a fraction of a millisecond, in a
hundred operations of PyTorch that take milliseconds to start.
When not: while the codec's weights are being changed. The decoder's weights are copied as float32,
so that a 16-bit codec computes in float32.
Source: this project, ``native/README.md``.
Contract: within tolerance; sums have another order. The codes are untouched.
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
    return replace(options, native_codec=True)


SWITCH = Switch(
    name="native_codec",
    summary="the codec's decoder in one native call",
    contract=TOLERANCE,
    change=_on,
    supported=_supported,
    where="CPU, where native kernels are built",
)
