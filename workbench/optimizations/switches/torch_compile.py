"""Compiles the networks with ``torch.compile`` (inductor).

What: of our frame step the backbone step and three small functions of the depth loop, each once,
with the caches' length left open: regional, so that the cold start is short, and texts of any
length recompile nothing. Of transformers' ``generate`` what it compiles itself for static caches:
the forward of one backbone step and of one depth step; static caches come with it. The value is
torch.compile's mode.
Why: fuses the small operations around the matmuls and drops Python's and the dispatcher's cost.
When not: where the first request counts: compiling takes seconds (less when inductor's cache on
disk has it). On a CPU it needs a C++ compiler.
Source: PyTorch's torch.compile; claimed by FERN, F5-TTS, VoiceReel and the RTX 50 advice.
Contract: within tolerance; fused operations round in other places.
"""

from __future__ import annotations

import shutil
from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import TOLERANCE, Site, Switch


def _supported(site: Site) -> str:
    if not site.cuda and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        return "compiling for the CPU needs a C++ compiler, and none is installed"
    return ""


def _on(options: EngineOptions, mode: str) -> EngineOptions:
    static = options.static_kv_cache or options.generator == "transformers"
    return replace(options, compile_mode=mode, static_kv_cache=static)


SWITCH = Switch(
    name="torch_compile",
    summary="networks compiled by inductor",
    contract=TOLERANCE,
    change=_on,
    supported=_supported,
    where="CUDA, CPU with a C++ compiler",
    values=("default", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune"),
    conflicts=("torch_jit",),
)
