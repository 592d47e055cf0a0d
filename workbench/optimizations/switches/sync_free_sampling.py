"""Samples without a word from the host, and hears of the end of audio one frame late.

What: Gumbel-max (``argmax(logits / temperature + noise)``) with the noise of a whole frame drawn
at once; on a GPU the end-of-audio flag goes to pinned memory and is read while the next frame is
computed, so that one frame past the end is made and dropped. Off: softmax and
``torch.multinomial``, which checks its input on the host, and a host check of each frame.
Why: every look at a value on the GPU lets it run dry; a frame of CSM-1B has 33 of them. Nothing
that waits for the host can be captured in a CUDA graph.
When not: where the same draws as transformers' are wanted.
Source: Gumbel-max: Kool et al. 2019, arXiv 1903.06059.
Contract: same distribution; other random draws (greedy codes are the same).
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import DISTRIBUTION, Switch


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, sync_free_sampling=True)


SWITCH = Switch(
    name="sync_free_sampling",
    summary="Gumbel-max sampling, no waiting for the device",
    contract=DISTRIBUTION,
    change=_on,
    requires=("frame_step",),
)
