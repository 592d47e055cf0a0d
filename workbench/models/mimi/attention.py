"""Mimi's transformer over a sliding window, with keys and values in a static ring.

Position ``p`` lives in slot ``p % ring``. The ring is longer than the window by the longest
chunk, so a chunk never overwrites a key that one of its own queries still sees. For the same
reason a row that is not active may write as well: what it overwrites is out of every window, and
as its position does not advance, its next real chunk writes there again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from workbench.errors import InputError


class WindowedTransformer:
    """A ``MimiTransformerModel`` that continues where the chunk before ended.

    Each row stands at its own ``position`` ``[B]``, which grows without bound; a query sees
    itself and the ``sliding_window - 1`` positions before it, as offline.
    """

    def __init__(
        self,
        transformer: Any,
        batch_size: int,
        max_positions: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        config = transformer.config
        rotary = transformer.rotary_emb
        if rotary.rope_type not in ("default", "linear", "yarn", "llama3"):
            raise InputError(
                f"rotary positions of type {rotary.rope_type!r} depend on the stream's length",
                "use a codec with rope_type 'default'",
            )
        self.window: int = config.sliding_window
        self.ring = -(-(self.window - 1 + max_positions) // 8) * 8  # a multiple of 8 aligns masks
        self.max_positions = max_positions
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim: int = config.head_dim
        self.layers = list(transformer.layers)
        self.rotary = rotary
        self.position = torch.zeros(batch_size, dtype=torch.int64, device=device)
        shape = (len(self.layers), batch_size, self.ring, self.kv_heads, self.head_dim)
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self._steps = torch.arange(max_positions, device=device)
        self._slots = torch.arange(self.ring, device=device)
        self._row_starts = torch.arange(batch_size, device=device)[:, None] * self.ring
        self._frequencies = rotary.inv_freq.to(device=device, dtype=torch.float32)

    def __call__(self, x: Tensor, active: Tensor | None = None) -> Tensor:
        """``[B, S, C]`` to ``[B, S, C]``, 1 <= S <= max_positions."""
        length = x.shape[1]
        position = self.position[:, None] + self._steps[:length]  # [B, S]
        slots = (self._row_starts + position % self.ring).flatten()  # [B * S]
        bias = self._visible(position, x.dtype)
        # The same float32 product as offline: only so are the angles equal at late positions.
        angles = position[:, :, None, None].float() * self._frequencies
        angles = torch.cat((angles, angles), dim=-1)  # [B, S, 1, D]
        scaling = self.rotary.attention_scaling
        rotation = ((angles.cos() * scaling).to(x.dtype), (angles.sin() * scaling).to(x.dtype))
        for index, layer in enumerate(self.layers):
            attended = self._attend(index, layer, layer.input_layernorm(x), slots, rotation, bias)
            x = torch.addcmul(x, attended, layer.self_attn_layer_scale.scale)
            moved = layer.mlp(layer.post_attention_layernorm(x))
            x = torch.addcmul(x, moved, layer.mlp_layer_scale.scale)
        self.position += length if active is None else length * active
        return x

    def reset(self, rows: Tensor) -> None:
        """Starts the rows where ``rows`` ``[B]`` is true at position 0 with nothing before them."""
        self.position.masked_fill_(rows, 0)
        for cache in (self.keys, self.values):
            cache.masked_fill_(rows[None, :, None, None, None], 0)

    def _visible(self, position: Tensor, dtype: torch.dtype) -> Tensor:
        """0 where a query sees a slot, -inf elsewhere: ``[B, 1, S, ring]``."""
        last = position[:, -1:]
        held = (
            last - (last - self._slots) % self.ring
        )  # [B, ring]: position in each slot, < 0: none
        age = position[:, :, None] - held[:, None, :]
        seen = (age >= 0) & (age < self.window) & (held >= 0)[:, None, :]
        hidden = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
        return hidden.masked_fill_(~seen, float("-inf"))[:, None]

    def _attend(
        self,
        index: int,
        layer: Any,
        x: Tensor,
        slots: Tensor,
        rotation: tuple[Tensor, Tensor],
        bias: Tensor,
    ) -> Tensor:
        attention = layer.self_attn
        batch, length, _ = x.shape
        query = _rotate(attention.q_proj(x).view(batch, length, -1, self.head_dim), rotation)
        key = _rotate(attention.k_proj(x).view(batch, length, -1, self.head_dim), rotation)
        keys, values = self.keys[index], self.values[index]
        width = self.kv_heads * self.head_dim
        keys.view(-1, width).index_copy_(0, slots, key.reshape(-1, width))
        values.view(-1, width).index_copy_(0, slots, attention.v_proj(x).view(-1, width))
        attended = functional.scaled_dot_product_attention(
            query.transpose(1, 2),
            keys.transpose(1, 2),
            values.transpose(1, 2),
            attn_mask=bias,
            enable_gqa=self.heads != self.kv_heads,
        )
        return attention.o_proj(attended.transpose(1, 2).reshape(batch, length, -1))


def _rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary position embedding of ``[B, S, H, D]`` (halves, as in Llama)."""
    first, second = x.chunk(2, dim=-1)
    return x * rotation[0] + torch.cat((-second, first), dim=-1) * rotation[1]
