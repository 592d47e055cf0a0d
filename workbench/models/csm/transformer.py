"""A Llama-like stack that runs from static key/value caches."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


class CachedTransformer:
    """Runs CSM's decoder layers (backbone or depth decoder) with preallocated caches.

    The layers' parameters are used in place, so the transformers model they came from keeps
    working and no memory is doubled. ``keys`` and ``values`` hold one ``[B, G, S, D]`` tensor a
    layer (G key/value heads, S positions, D head size); they are written in place, so that
    their addresses never change.
    """

    def __init__(self, stack: nn.Module, batch_size: int, positions: int) -> None:
        config: Any = stack.config
        self.layers: list[Any] = list(stack.layers)  # type: ignore[arg-type]
        self.norm: Any = stack.norm
        self.heads: int = config.num_attention_heads
        self.groups: int = config.num_key_value_heads
        self.head_dim: int = config.head_dim
        self.batch_size = batch_size
        self.positions = positions
        weight = self.layers[0].self_attn.q_proj.weight
        shape = (batch_size, self.groups, positions, self.head_dim)
        self.keys = [weight.new_zeros(shape) for _ in self.layers]
        self.values = [weight.new_zeros(shape) for _ in self.layers]
        # The model's own rotary module makes the table, so every RoPE variant it knows is right.
        table = torch.arange(positions, device=weight.device)[None]
        cos, sin = stack.rotary_emb(weight.new_zeros(1), position_ids=table)  # type: ignore[operator]
        self.cos, self.sin = cos[0], sin[0]  # [S, D]
        # Indices 0 … S-1, compared with each row's position to hide what lies after it.
        self.slots = torch.arange(positions, device=weight.device)
        self.rows = torch.arange(batch_size, device=weight.device)

    def prefill(self, x: torch.Tensor) -> torch.Tensor:
        """Positions 0 … T-1 at once: ``x`` ``[B, T, H]`` → normed hidden states ``[B, T, H]``.

        Rows shorter than T are padded on the right: what the padding writes to the caches lies
        behind the row's position and is overwritten before it is ever attended to.
        """
        return self.block(x, start=0)

    def block(self, x: torch.Tensor, start: int) -> torch.Tensor:
        """``x`` ``[B, T, H]`` at positions ``start`` … ``start + T - 1``, the same for all rows."""
        end = start + x.shape[1]
        cos, sin = self.cos[start:end], self.sin[start:end]
        for index, layer in enumerate(self.layers):
            query, key, value = self._project(layer, x, cos, sin)
            self.keys[index][:, :, start:end] = key
            self.values[index][:, :, start:end] = value
            if x.shape[1] == 1:
                attended = self._attend_one(
                    query, self.keys[index][:, :, :end], self.values[index][:, :, :end], None
                )
            else:
                mask = self.slots[None, :end] <= self.slots[start:end, None]
                attended = F.scaled_dot_product_attention(
                    query,
                    self.keys[index][:, :, :end],
                    self.values[index][:, :, :end],
                    attn_mask=mask,
                    enable_gqa=self.groups != self.heads,
                )
            x = self._finish(layer, x, attended)
        return self._normed(self.norm, x)

    def step(self, x: torch.Tensor, positions: torch.Tensor, length: int) -> torch.Tensor:
        """One position a row: ``x`` ``[B, 1, H]``, ``positions`` ``[B]`` int64 → ``[B, 1, H]``.

        Each row stands at its own position. ``length`` bounds all of them from above
        (exclusive); only that much of the caches is read.
        """
        cos, sin = self.cos[positions][:, None, None], self.sin[positions][:, None, None]
        mask = (self.slots[:length] <= positions[:, None])[:, None, None]  # [B, 1, 1, length]
        for index, layer in enumerate(self.layers):
            query, key, value = self._project(layer, x, cos, sin)
            self.keys[index][self.rows, :, positions] = key[:, :, 0]
            self.values[index][self.rows, :, positions] = value[:, :, 0]
            attended = self._attend_one(
                query, self.keys[index][:, :, :length], self.values[index][:, :, :length], mask
            )
            x = self._finish(layer, x, attended)
        return self._normed(self.norm, x)

    def _project(
        self, layer: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Query ``[B, heads, T, D]``, key and value ``[B, groups, T, D]``, rotated."""
        attention = layer.self_attn
        normed = self._normed(layer.input_layernorm, x)
        shape = (x.shape[0], x.shape[1], -1, self.head_dim)
        query = attention.q_proj(normed).view(shape).transpose(1, 2)
        key = attention.k_proj(normed).view(shape).transpose(1, 2)
        value = attention.v_proj(normed).view(shape).transpose(1, 2)
        return _rotated(query, cos, sin), _rotated(key, cos, sin), value

    def _attend_one(
        self,
        query: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        mask: torch.Tensor | None,
    ) -> torch.Tensor:
        """One query a row: the heads that share a key head are queries of one attention."""
        shape = (query.shape[0], self.groups, self.heads // self.groups, self.head_dim)
        attended = F.scaled_dot_product_attention(query.view(shape), keys, values, attn_mask=mask)
        return attended.view(query.shape)

    def _finish(self, layer: Any, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        x = x + layer.self_attn.o_proj(attended.transpose(1, 2).flatten(2))
        mlp = layer.mlp
        normed = self._normed(layer.post_attention_layernorm, x)
        return x + mlp.down_proj(F.silu(mlp.gate_proj(normed)) * mlp.up_proj(normed))

    @staticmethod
    def _normed(norm: Any, x: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, norm.weight.shape, norm.weight, norm.variance_epsilon)


def _rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary embedding (Su et al. 2021, arXiv 2104.09864), halves rotated as Llama does."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin
