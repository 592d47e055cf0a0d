"""Runs the networks under ``torch.inference_mode`` instead of ``torch.no_grad``.

What: no version counters and no view tracking for the tensors made while speaking.
Why: every operation's bookkeeping on the host gets a little shorter.
When not: where outputs are to take part in a backward pass later.
Source: PyTorch, "Autograd mechanics" (inference mode); RTX50 asks for it.
Contract: exact; the same kernels run.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import EXACT, Switch


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, inference_mode=True)


SWITCH = Switch(
    name="inference_mode",
    summary="inference mode instead of no-grad",
    contract=EXACT,
    change=_on,
)
