"""A Llama-like stack that runs from static key/value caches."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from workbench.models.csm.networks import Decoder


class CachedTransformer:
    """Runs CSM's decoder layers (backbone or depth decoder) with preallocated caches.

    ``keys`` and ``values`` hold one ``[B, G, S, D]`` tensor a layer (G key/value heads, S
    positions, D head size); they are written in place, so that their addresses never change.
    ``slots`` are their indices 0 … S-1. Where a method takes a part of them, that part's length
    says how much of the caches is read: a tensor's size, unlike a number, may be left open when
    the method is compiled.
    """

    def __init__(self, decoder: Decoder, batch_size: int, positions: int) -> None:
        config: Any = decoder.config
        self.layers: list[Any] = list(decoder.layers)
        self.norm: Any = decoder.norm
        self.heads: int = config.num_attention_heads
        self.groups: int = config.num_key_value_heads
        self.head_dim: int = config.head_dim
        self.batch_size = batch_size
        self.positions = positions
        weight = self.norm.weight
        # One slot to spare: "all slots" would be a special case for compiled code.
        slots = positions + 1
        shape = (batch_size, self.groups, slots, self.head_dim)
        self.keys = [weight.new_zeros(shape) for _ in self.layers]
        self.values = [weight.new_zeros(shape) for _ in self.layers]
        # The model's own rotary module makes the table, so every RoPE variant it knows is right.
        table = torch.arange(slots, device=weight.device)[None]
        cos, sin = decoder.rotary(weight.new_zeros(1), position_ids=table)
        self.cos, self.sin = cos[0], sin[0]  # [S, D]
        self.slots = torch.arange(slots, device=weight.device)
        self.rows = torch.arange(batch_size, device=weight.device)

    def prefill(self, x: torch.Tensor, rows: torch.Tensor | None = None) -> torch.Tensor:
        """Positions 0 … T-1 at once: ``x`` ``[B, T, H]`` → normed hidden states ``[B, T, H]``.

        With ``rows`` ``[R]`` int64, ``x`` is ``[R, T, H]`` and the other rows' caches stay. Rows
        shorter than T are padded on the right: what the padding writes to the caches lies
        behind the row's position and is overwritten before it is ever attended to.
        """
        return self.block(x, self.slots[: x.shape[1]], rows)

    def block(
        self, x: torch.Tensor, slots: torch.Tensor, rows: torch.Tensor | None = None
    ) -> torch.Tensor:
        """``x`` ``[B, T, H]`` at the last T positions of ``slots``, the same for all rows.

        ``rows`` as in ``prefill``.
        """
        end = slots.shape[0]
        start = end - x.shape[1]
        cos, sin = self.cos[start:end], self.sin[start:end]
        mask = None
        if x.shape[1] > 1:  # for each of the heads that share a key head
            mask = (slots <= slots[start:, None]).repeat(self.heads // self.groups, 1)
        for index, layer in enumerate(self.layers):
            query, key, value = self._project(layer, x, cos, sin)
            keys = _written(self.keys[index], key, start, rows)
            values = _written(self.values[index], value, start, rows)
            attended = self._attend(query, keys, values, mask)
            x = self._finish(layer, x, attended)
        return self._normed(self.norm, x)

    def step(self, x: torch.Tensor, positions: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
        """One position a row: ``x`` ``[B, 1, H]``, ``positions`` ``[B]`` int64 → ``[B, 1, H]``.

        Each row stands at its own position, one of ``slots``; only those are read.
        """
        length = slots.shape[0]
        cos, sin = self.cos[positions][:, None, None], self.sin[positions][:, None, None]
        mask = (slots <= positions[:, None])[:, None, None]  # [B, 1, 1, length]
        for index, layer in enumerate(self.layers):
            query, key, value = self._project(layer, x, cos, sin)
            self.keys[index][self.rows, :, positions] = key[:, :, 0]
            self.values[index][self.rows, :, positions] = value[:, :, 0]
            attended = self._attend(
                query, self.keys[index][:, :, :length], self.values[index][:, :, :length], mask
            )
            x = self._finish(layer, x, attended)
        return self._normed(self.norm, x)

    def _project(
        self, layer: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Query ``[B, heads, T, D]``, key and value ``[B, groups, T, D]``, rotated."""
        shape = (x.shape[0], x.shape[1], -1, self.head_dim)
        query, key, value = (
            part.view(shape).transpose(1, 2)
            for part in layer.query_key_value(self._normed(layer.attention_norm, x))
        )
        # Under autocast products are of another type than the caches; else nothing is cast.
        kept = self.keys[0].dtype
        return _rotated(query, cos, sin), _rotated(key, cos, sin).to(kept), value.to(kept)

    def _attend(
        self,
        query: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        mask: torch.Tensor | None,
    ) -> torch.Tensor:
        """The heads that share a key head are queries of one attention.

        So every SDPA kernel can do it; only some know key heads shared by several query heads.
        """
        batch, heads, length, dim = query.shape
        rows = heads // self.groups * length
        query = query.reshape(batch, self.groups, rows, dim)
        attended = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
        return attended.reshape(batch, heads, length, dim)

    def _finish(self, layer: Any, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        x = x + layer.out(attended.transpose(1, 2).flatten(2))
        gate, up = layer.gate_and_up(self._normed(layer.mlp_norm, x))
        return x + layer.down(F.silu(gate) * up)

    @staticmethod
    def _normed(norm: Any, x: torch.Tensor) -> torch.Tensor:
        x = x.to(norm.weight.dtype)
        return F.rms_norm(x, norm.weight.shape, norm.weight, norm.variance_epsilon)


def _written(
    cache: torch.Tensor, new: torch.Tensor, start: int, rows: torch.Tensor | None
) -> torch.Tensor:
    """Puts ``new`` ``[R, G, T, D]`` at ``start`` and on; returns what ``rows`` hold up to its end.

    A view where ``rows`` are all rows (None), else a copy.
    """
    end = start + new.shape[2]
    if rows is None:
        cache[:, :, start:end] = new
        return cache[:, :, :end]
    cache[rows, :, start:end] = new
    return cache[rows, :, :end]


def _rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary embedding (Su et al. 2021, arXiv 2104.09864), halves rotated as Llama does."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin
