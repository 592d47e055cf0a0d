"""Puts back PyTorch's float32 precision settings exactly, whatever a block did to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def float32_precision_kept() -> Iterator[None]:
    """Restores the precision of float32 products and convolutions at the end of the block.

    torch keeps it twice, by older flags (``allow_tf32``, ``set_float32_matmul_precision``) and by
    newer ones (``fp32_precision``, from torch 2.9), and refuses to read the older where the two
    disagree. Switches therefore set the older, which keep the newer in step, and this puts back
    both: turning an older flag off leaves ``ieee`` where ``none`` (nothing said) was.
    """
    import torch

    cudnn: Any = torch.backends.cudnn
    places: tuple[Any, ...] = (
        torch.backends.cuda.matmul,
        cudnn.conv,
        cudnn.rnn,
        torch.backends.mkldnn.matmul,  # type: ignore[attr-defined]
    )
    newer = [place.fp32_precision for place in places]
    products = torch.get_float32_matmul_precision()
    convolutions = cudnn.allow_tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        cudnn.allow_tf32 = convolutions
        for place, before in zip(places, newer, strict=True):
            place.fp32_precision = before
