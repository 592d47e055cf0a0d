"""Fish-Speech's caches, of which a step sees only as much as has been written.

The package's own step attends to every position that its caches have, and makes a copy of keys and
values for each head that shares them. With 8,192 positions these are more bytes than the weights,
where a few hundred positions hold something.
"""

from __future__ import annotations

from typing import Any

import torch

LEAST = 256  # positions that a step sees at least


class Caches:
    """The caches of ``model`` for one row of ``positions``; what is not shown keeps its content.

    Shown are powers of two, so that compiled layers meet a handful of shapes.
    """

    def __init__(self, model: Any, positions: int, dtype: torch.dtype) -> None:
        model.setup_caches(1, positions, dtype)
        self._model = model
        caches = [layer.attention.kv_cache for layer in model.layers]
        self._whole = [(cache, cache.k_cache, cache.v_cache) for cache in caches]
        self._most: int = model.max_seq_len

    def show(self, positions: int) -> None:
        """Lets the next step see the first ``positions`` at least."""
        shown = min(self._most, max(LEAST, 1 << (positions - 1).bit_length()))
        if shown == self._model.max_seq_len:
            return
        for cache, keys, values in self._whole:
            cache.k_cache, cache.v_cache = keys[:, :, :shown], values[:, :, :shown]
        self._model.max_seq_len = shown  # by which the package cuts its mask
