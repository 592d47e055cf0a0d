"""RVQ encode of many vectors on a GPU: the tensor cores' screening table, and the call.

The kernel is ``native/cuda/rvq_tiled.cu``; ``tests/native/rvq_twin.py`` is its walk in PyTorch.
"""

from __future__ import annotations

import ctypes
import math

import torch
from torch import Tensor

from workbench.native.registration import launched

_SMALLEST = 2.0**-100  # of a number in 16 bits: none is subnormal
_LARGEST = 1e12  # entries of larger norm are always measured
_UP = 1 + 1e-6  # for norms rounded to float32
_CAPABILITY = (8, 0)  # the first whose tensor cores multiply bfloat16


def near_entries(codebooks: Tensor) -> tuple[Tensor, Tensor]:
    """Entries ``[K, V, D]`` bfloat16 near those of ``codebooks``, and their ``tables``.

    ``tables`` ``[3, K, V]`` float32 are |c|²/2, |c - q| and |q|, these two rounded up. An entry
    whose norm is beyond 1e12 has q = 0 and no bound: |c - q| is infinite.
    """
    exact = codebooks.double()
    square = exact.square().sum(2)
    near = codebooks.bfloat16()
    vanish = (near.abs() < _SMALLEST) | (square > _LARGEST**2)[..., None]
    near = near.masked_fill(vanish, 0.0)
    error = (exact - near.double()).norm(dim=2) * _UP
    error = error.masked_fill(square > _LARGEST**2, math.inf)
    norm = near.double().norm(dim=2) * _UP
    return near, torch.stack([square / 2, error, norm]).float()


def pack_tiled(codebooks: Tensor) -> Tensor:
    """The table that ``encode_tiled`` reads: ``[K V (2 D + 12)]`` bytes."""
    near, tables = near_entries(codebooks)
    return torch.cat([part.contiguous().view(torch.uint8).flatten() for part in (near, tables)])


def encode_tiled(
    library: ctypes.CDLL, vectors: Tensor, codebooks: Tensor, packed: Tensor
) -> Tensor | None:
    """Codes ``[N, K]`` int64 of ``vectors`` ``[N, D]``; None where the kernel can't do it.

    So it is for dimensions that aren't a multiple of 32 up to 1024, for a table that isn't there,
    and on a GPU whose tensor cores have no bfloat16. Nothing is waited for.
    """
    books, entries, dim = codebooks.shape
    a_book = library.wb_cuda_rvq_packed_bytes(1, entries, dim)
    if (
        not a_book
        or packed.numel() < books * a_book
        or packed.numel() % a_book
        or torch.cuda.get_device_capability(vectors.device) < _CAPABILITY
    ):
        return None
    codes = vectors.new_empty((vectors.shape[0], books), dtype=torch.int64)
    needed = library.wb_cuda_rvq_tiled_bytes(vectors.shape[0], entries, dim)
    workspace = vectors.new_empty(needed, dtype=torch.uint8)
    with torch.cuda.device(vectors.device):
        status = library.wb_cuda_rvq_encode_tiled(
            vectors.data_ptr(),
            vectors.shape[0],
            codebooks.data_ptr(),
            packed.data_ptr(),
            packed.numel() // a_book,
            books,
            entries,
            dim,
            workspace.data_ptr(),
            codes.data_ptr(),
            torch.cuda.current_stream().cuda_stream,
        )
    return codes if launched(status, "rvq_encode_tiled") else None
