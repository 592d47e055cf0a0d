"""Convolutions in 16 bits on the CPU, which oneDNN gets wrong on some machines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def right_convolutions(codec: Any) -> Iterator[None]:
    """The block in which ``codec`` may encode: without oneDNN where it runs in 16 bits on a CPU.

    With PyTorch 2.13 on a processor with AMX, a strided convolution of Mimi's encoder (16 to 32
    channels) is off by as much as its output in bfloat16, so that nineteen in twenty codes come
    out wrong, and nothing says so (docs/log.md). PyTorch's own convolutions are right, and slower.
    """
    if codec.device.type != "cpu" or codec.dtype == torch.float32:
        yield
        return
    # Not PyTorch's own block ``flags``, which sets the process's float32 precision, too.
    onednn: Any = torch.backends.mkldnn
    before = onednn.enabled
    onednn.enabled = False
    try:
        yield
    finally:
        onednn.enabled = before
