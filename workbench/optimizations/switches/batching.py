"""Speaks several texts at once, those of similar length together.

What: ``synthesize_batch`` makes batches of texts of similar length, as large as free memory
allows, and runs each batch through the networks once, instead of one text after another.
Why: at batch 1 the time goes into reading weights; a second row reads them along for nothing.
When not: where the first sound counts, as all texts of a batch are ready at its end.
Source: VoiceReel (similar lengths, batch size from free memory); claimed by FERN.
Contract: same distribution; rows share one stream of random draws, greedy codes but for ties equal.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import DISTRIBUTION, Switch


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, batching=True)


SWITCH = Switch(
    name="batching",
    summary="several texts in one batch",
    contract=DISTRIBUTION,
    change=_on,
    workload="batch",
    metric="batch_ms",
)
