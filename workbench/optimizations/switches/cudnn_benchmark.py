"""Lets cuDNN try its convolution algorithms and keep the fastest for each shape.

What: ``torch.backends.cudnn.benchmark``; the first call of each new shape times all algorithms.
Why: cuDNN's own guess isn't always the fastest for a codec's one-dimensional convolutions.
When not: where shapes keep changing, as each new one pays for the search again.
Source: PyTorch, "torch.backends.cudnn.benchmark"; claimed by FERN, F5-TTS and VoiceReel.
Contract: within tolerance; algorithms add up in different orders, codes come from no convolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workbench.optimizations.switch import TOLERANCE, Switch, only_cuda


@contextmanager
def _on(_: str) -> Iterator[None]:
    import torch

    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


SWITCH = Switch(
    name="cudnn_benchmark",
    summary="cuDNN picks convolutions by trial",
    contract=TOLERANCE,
    process=_on,
    supported=only_cuda,
    where="CUDA",
)
