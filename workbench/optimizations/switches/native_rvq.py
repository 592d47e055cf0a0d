"""Encodes a voice's reference with our own search of the codec's codebooks.

What: ``workbench.native``'s encode instead of transformers' quantizer: codebooks of 8 bits find the
few entries that can be nearest, and those are measured in float64.
Why: a codec of 32 codebooks of 2048 entries searches 65,536 vectors of 256 numbers a frame, one
codebook after the other; in 8 bits that is a quarter of the memory traffic.
When not: without a reference, where nothing is encoded; the quantizer is a small part of encoding
a long one (6 % of 10 s).
Source: this project, ``native/README.md``; the design card asks for it.
Contract: within tolerance; distances are exact instead of float32, so that codes differ at ties.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.native import native_status
from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import TOLERANCE, Site, Switch


def _supported(site: Site) -> str:
    status = native_status()
    if site.cuda:
        return status.cuda_reason and f"its CUDA kernels are {status.cuda_reason}"
    return status.reason and f"its kernels are {status.reason}; {status.remedy}"


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, native_rvq=True)


SWITCH = Switch(
    name="native_rvq",
    summary="native exact search of codebooks",
    contract=TOLERANCE,
    change=_on,
    supported=_supported,
    where="where native kernels are built",
    metric="ttfa_ms",
)
