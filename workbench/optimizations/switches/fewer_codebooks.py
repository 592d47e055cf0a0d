"""Writes and decodes only the first of the codec's codebooks: Mimi's control of its bitrate.

What: the depth loop stops after n codebooks, the backbone reads the sum of n embeddings, and the
codec decodes n. The value is n, at least 2, or ``half``.
Why: the depth loop is most of a frame; half of the codebooks is half of it. Each codebook adds
finer detail to those before it, so that the words are in the first few.
When not: where the sound itself counts; the voice gets coarser, and a model that was trained on
all codebooks reads frames of a kind that it hasn't seen.
Source: Mimi (Défossez et al. 2024, arXiv 2410.00037), trained with a random number of codebooks.
Contract: lossy; the words must stay.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import Switch, lossy


def _wrong(value: str) -> str:
    if value.isascii() and value.isdigit() and int(value) >= 2:
        return ""
    return "a number of codebooks, at least 2, or 'half'"


def _on(options: EngineOptions, value: str) -> EngineOptions:
    return replace(options, codebooks="half" if value == "half" else int(value))


SWITCH = Switch(
    name="fewer_codebooks",
    summary="only the first codebooks",
    contract=lossy(0.10),
    change=_on,
    values=("half",),
    other_values=_wrong,
    requires=("frame_step",),
)
