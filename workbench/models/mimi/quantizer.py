"""Mimi's split residual vector quantizer over precomputed tables."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.native.rvq import ResidualCodebooks


class Codebooks:
    """All codebooks of a codec in one table, so that a frame's codes are one look-up.

    The table is ``embed_sum / cluster_usage``, computed once: make a new object when the codec's
    weights change or move. Codes are ``[B, K, T]``, the semantic codebooks first; latents are
    ``[B, T, C]``. With ``native`` our own kernel encodes, exactly.
    """

    def __init__(self, quantizer: Any, native: bool = False) -> None:
        semantic = quantizer.semantic_residual_vector_quantizer
        acoustic = quantizer.acoustic_residual_vector_quantizer
        books = [layer.codebook for layer in [*semantic.layers, *acoustic.layers]]
        with torch.no_grad():
            self.table = torch.cat(
                [
                    book.embed_sum / book.cluster_usage.clamp(min=book.epsilon)[:, None]
                    for book in books
                ]
            )  # [K * V, D]
        self.count, self.size = len(books), books[0].codebook_size
        self.semantic = len(semantic.layers)
        self._offsets = torch.arange(self.count, device=self.table.device)[:, None] * self.size
        self.outputs = [_matrix(part.output_proj) for part in (semantic, acoustic)]
        self._inputs = [_matrix(part.input_proj) for part in (semantic, acoustic)]
        tables = self.table.float().view(self.count, self.size, -1)
        parts = (tables[: self.semantic], tables[self.semantic :])
        self._native = [ResidualCodebooks(part) for part in parts] if native else []

    def decode(self, codes: Tensor) -> Tensor:
        """Latents ``[B, T, C]`` of codes ``[B, K, T]``; K may be less than ``count``."""
        vectors = functional.embedding(codes + self._offsets[: codes.shape[1]], self.table)
        latents = _project(vectors[:, : self.semantic].sum(1), self.outputs[0])
        if codes.shape[1] > self.semantic:
            latents = latents + _project(vectors[:, self.semantic :].sum(1), self.outputs[1])
        return latents

    def encode(self, latents: Tensor, count: int) -> Tensor:
        """Codes ``[B, count, T]`` of latents ``[B, T, C]``: each codebook codes what is left."""
        if self._native:
            return self._encode_natively(latents, count)
        codes = []
        residual = _project(latents, self._inputs[0])
        for index, book in enumerate(self.table.split(self.size)[:count]):
            if index == self.semantic:  # the acoustic codebooks start from the latents again
                residual = _project(latents, self._inputs[1])
            # Distances in float32 over all vectors, as offline.
            distance = torch.cdist(residual.flatten(0, 1).float(), book.float())
            codes.append(distance.argmin(-1).view(residual.shape[:2]))
            residual = residual - functional.embedding(codes[-1], book)
        return torch.stack(codes, dim=1)

    def _encode_natively(self, latents: Tensor, count: int) -> Tensor:
        counts = (min(count, self.semantic), count - self.semantic)
        codes = [
            books.encode(_project(latents, matrix).float(), some)
            for books, matrix, some in zip(self._native, self._inputs, counts, strict=True)
            if some > 0
        ]
        return torch.cat(codes, dim=2).transpose(1, 2)


def _matrix(projection: nn.Conv1d | None) -> Tensor | None:
    """The matrix ``[out, in]`` of a convolution of kernel 1, a view; None for no projection."""
    return None if projection is None else projection.weight[:, :, 0]


def _project(x: Tensor, matrix: Tensor | None) -> Tensor:
    return x if matrix is None else functional.linear(x, matrix)
