"""Traces the frame step's functions with ``torch.jit.trace``. Legacy, kept to be measured.

What: each function is recorded once for each shape and run by TorchScript's interpreter, which
fuses little on a CPU.
Why: advice from before ``torch.compile`` still recommends it.
When not: in new work; PyTorch deprecates it in favour of ``torch.compile`` and ``torch.export``.
Source: PyTorch's TorchScript documentation.
Contract: within tolerance; the same operators, of which the fuser may join some.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import TOLERANCE, Switch


def _on(options: EngineOptions, _: str) -> EngineOptions:
    return replace(options, torch_jit=True)


SWITCH = Switch(
    name="torch_jit",
    summary="torch.jit.trace (legacy)",
    contract=TOLERANCE,
    change=_on,
    requires=("frame_step",),
    conflicts=("torch_compile",),
)
