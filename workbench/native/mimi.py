"""Mimi's split quantizer on the native encode: semantic and acoustic codebooks, projections."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from workbench.errors import InputError
from workbench.native.rvq import ResidualCodebooks


class SplitQuantizer:
    """A ``MimiSplitResidualVectorQuantizer`` (transformers), its codebooks packed once.

    Make a new one when the codec's weights change or move; ``encode_latents`` does so itself.
    """

    def __init__(self, quantizer: Any) -> None:
        self._parts = (
            quantizer.semantic_residual_vector_quantizer,
            quantizer.acoustic_residual_vector_quantizer,
        )
        self._books = [ResidualCodebooks(_codebooks(part)) for part in self._parts]
        self.semantic, self.acoustic = (book.codebooks.shape[0] for book in self._books)

    def encode(self, latents: Tensor, count: int | None = None, threads: int = 0) -> Tensor:
        """Codes ``[B, K, T]`` int64 of ``latents`` ``[B, C, T]``; the first ``count`` codebooks.

        Raises InputError for a count that Mimi can't have, and latents that aren't finite.
        """
        most = self.semantic + self.acoustic
        count = most if count is None else count
        if not self.semantic <= count <= most:
            raise InputError(f"{count} codebooks", f"ask for {self.semantic} to {most}")
        if latents.shape[2] == 0:  # which a convolution refuses
            return latents.new_zeros((latents.shape[0], count, 0), dtype=torch.int64)
        codes = []
        wanted = (self.semantic, count - self.semantic)
        for part, books, some in zip(self._parts, self._books, wanted, strict=True):
            if some:
                projected = latents if part.input_proj is None else part.input_proj(latents)
                vectors = projected.transpose(1, 2).float()  # [B, T, D]
                codes.append(books.encode(vectors, some, threads))
        return torch.cat(codes, dim=2).transpose(1, 2)


_QUANTIZERS: WeakKeyDictionary[Any, tuple[tuple[int, ...], SplitQuantizer]] = WeakKeyDictionary()


@torch.no_grad()
def encode_latents(
    codec: Any, latents: Tensor, count: int | None = None, threads: int = 0
) -> Tensor:
    """transformers' ``codec.quantizer.encode``, batch first: ``[B, C, T]`` → ``[B, K, T]`` int64.

    ``codec`` is a ``MimiModel``; its codebooks are packed at the first call, and again when they
    have changed. Distances are exact, where transformers' are float32: where the two differ, both
    entries were as near to 1e-6.
    """
    quantizer = codec.quantizer
    known = _QUANTIZERS.get(quantizer)
    state = _state(quantizer)
    if known is None or known[0] != state:
        known = state, SplitQuantizer(quantizer)
        _QUANTIZERS[quantizer] = known
    return known[1].encode(latents, count, threads)


def _codebooks(part: Any) -> Tensor:
    """``[K, V, D]`` float32, computed as transformers does."""
    with torch.no_grad():
        return torch.stack(
            [
                (book.embed_sum / book.cluster_usage.clamp(min=book.epsilon)[:, None]).float()
                for book in (layer.codebook for layer in part.layers)
            ]
        )


def _state(quantizer: Any) -> tuple[int, ...]:
    """What changes when a codebook does: where each table lies, and how often it was written.

    Asked at each call, so that it goes by the modules' own dictionaries: ``named_buffers`` would
    take a tenth of a frame's search.
    """
    state: list[int] = []
    for part in (
        quantizer.semantic_residual_vector_quantizer,
        quantizer.acoustic_residual_vector_quantizer,
    ):
        for layer in part.layers._modules.values():
            buffers = layer._modules["codebook"]._buffers
            for table in (buffers["embed_sum"], buffers["cluster_usage"]):
                state.append(table.data_ptr())
                state.append(0 if table.is_inference() else table._version)
    return tuple(state)
