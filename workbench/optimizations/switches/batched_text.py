"""Turns all texts of a request into tokens in one call, and moves them to the device at once.

What: one ``encode_batch`` of the tokenizer and one copy for all parts of a text, or all texts of a
batch, instead of a call and a copy each.
Why: each call and each copy has a fixed cost; the tokenizer also shares a batch among threads.
When not: for a single short sentence, where there is nothing to put together.
Source: tokenizers, ``Tokenizer.encode_batch``; RTX50 asks for it.
Contract: exact; the same tokens.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import EXACT, Switch


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, batched_text=True)


SWITCH = Switch(
    name="batched_text",
    summary="all texts tokenized in one call",
    contract=EXACT,
    change=_on,
    workload="text",
    metric="text_ms",
)
