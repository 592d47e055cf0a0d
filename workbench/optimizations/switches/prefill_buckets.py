"""Reads the prompt padded to one of a few lengths, each of them one CUDA graph.

What: the prompt, text and context's audio, is padded with zeros to the next of ten lengths at most
and read by the backbone in one launch. A length is captured when it is first needed, all of them by
``warmup``. Prompts of a batch are read one by one.
Why: at batch 1 the prefill of a sentence is hundreds of launches, and all of them stand before the
first sound; a graph needs fixed shapes, and so texts of any length share a few.
When not: on a CPU, where padding costs time and nothing is captured; for batches of many long
prompts, which are quicker read together. It has not been measured on a GPU yet.
Source: common practice where graphs serve any size (vLLM pads batches to the sizes it captured).
Contract: within tolerance; products of padded prompts have another shape and may round otherwise.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import TOLERANCE, Switch, only_cuda


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, prefill_buckets=True)


SWITCH = Switch(
    name="prefill_buckets",
    summary="the prompt's reading as one of a few graphs",
    contract=TOLERANCE,
    change=_on,
    supported=only_cuda,
    where="CUDA",
    requires=("frame_step", "buffer_pool", "cuda_graphs"),
    metric="ttfa_ms",
)
