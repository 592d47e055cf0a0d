"""Whisper's decoder, a token at a time, with key-value buffers that stay where they are.

transformers' ``generate`` grows its cache and runs its bookkeeping in Python at each token. Here
the buffers are allocated once at full length and written in place: every step has the same
shapes, so it can be compiled, and a CUDA graph can replay it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


@dataclass(frozen=True)
class Decoded:
    """Text tokens without the prompt; ``average_logprob`` per token, the end counted."""

    tokens: tuple[int, ...]
    average_logprob: float
    no_speech_probability: float
    ended: bool  # by the model itself, not by the limit


class StaticDecoder:
    """Greedy decoding of one window at a time with a static cache.

    ``suppressed`` are never chosen, ``suppressed_first`` not as the first token. ``compile_mode``
    compiles the step of one token (``torch.compile``'s modes).
    """

    def __init__(
        self,
        model: Any,
        *,
        end_id: int,
        no_speech_id: int | None = None,
        suppressed: Sequence[int] = (),
        suppressed_first: Sequence[int] = (),
        compile_mode: str | None = None,
    ) -> None:
        self._model = model
        self._decoder = model.model.decoder
        self._end_id, self._no_speech_id = end_id, no_speech_id
        config = model.config
        weight = model.proj_out.weight
        self._heads = config.decoder_attention_heads
        self.capacity = int(config.max_target_positions)
        shape = (1, self._heads, self.capacity, config.d_model // self._heads)
        self._cache = [
            (weight.new_zeros(shape), weight.new_zeros(shape)) for _ in self._decoder.layers
        ]
        self._slots = torch.arange(self.capacity, device=weight.device)
        self._banned = self._penalty(suppressed)
        self._banned_first = self._banned + self._penalty(suppressed_first)
        self._step: Callable[..., Tensor] = (
            torch.compile(self._forward, mode=compile_mode, dynamic=False)
            if compile_mode
            else self._forward
        )

    def decode(
        self, states: Tensor, prompt: Sequence[int], max_tokens: int | None = None
    ) -> Decoded:
        """Tokens for encoder ``states`` ``[1, P, d]`` after ``prompt``."""
        limit = min(max_tokens or self.capacity, self.capacity - len(prompt))
        device = states.device
        cross = [self._cross(layer, states) for layer in self._decoder.layers]
        at = torch.arange(len(prompt), device=device)
        logits = self._forward(torch.tensor([list(prompt)], device=device), at, cross)[0].float()
        silence = 0.0
        if self._no_speech_id is not None:
            silence = float(logits[0].softmax(-1)[self._no_speech_id])
        scores = (logits[-1] + self._banned_first).log_softmax(-1)
        tokens: list[int] = []
        total, ended = 0.0, False
        position = torch.tensor([len(prompt)], device=device)
        while True:
            token = scores.argmax(-1)
            chosen = int(token)
            total += float(scores[chosen])
            if chosen == self._end_id:
                ended = True
                break
            tokens.append(chosen)
            if len(tokens) >= limit:
                break
            logits = self._step(token[None, None], position, cross)[0, -1].float()
            scores = (logits + self._banned).log_softmax(-1)
            position += 1
        average = total / (len(tokens) + int(ended))
        return Decoded(tuple(tokens), average, silence, ended)

    def likeliest(self, states: Tensor, start_id: int, among: Sequence[int]) -> int:
        """The likeliest of ``among`` right after ``start_id``: the language, for example."""
        cross = [self._cross(layer, states) for layer in self._decoder.layers]
        at = torch.zeros(1, dtype=torch.long, device=states.device)
        logits = self._forward(torch.tensor([[start_id]], device=states.device), at, cross)[0, 0]
        return int(max(among, key=lambda token: float(logits[token])))

    def _penalty(self, tokens: Sequence[int]) -> Tensor:
        weight = self._model.proj_out.weight
        penalty = torch.zeros(weight.shape[0], device=weight.device)
        penalty[list(tokens)] = -math.inf
        return penalty

    def _split(self, hidden: Tensor) -> Tensor:
        return hidden.unflatten(-1, (self._heads, -1)).transpose(1, 2)

    def _cross(self, layer: Any, states: Tensor) -> tuple[Tensor, Tensor]:
        attention = layer.encoder_attn
        return self._split(attention.k_proj(states)), self._split(attention.v_proj(states))

    def _forward(
        self, tokens: Tensor, at: Tensor, cross: Sequence[tuple[Tensor, Tensor]]
    ) -> Tensor:
        """Logits ``[1, N, V]`` of ``tokens`` ``[1, N]`` at positions ``at`` ``[N]``."""
        decoder = self._decoder
        hidden = decoder.embed_tokens(tokens) + decoder.embed_positions.weight[at]
        seen = self._slots <= at[:, None]
        for layer, own, encoder in zip(decoder.layers, self._cache, cross, strict=True):
            attention = layer.self_attn
            normal = layer.self_attn_layer_norm(hidden)
            for buffer, projection in zip(own, (attention.k_proj, attention.v_proj), strict=True):
                buffer.index_copy_(2, at, self._split(projection(normal)))
            query = self._split(attention.q_proj(normal))
            heard = scaled_dot_product_attention(query, *own, attn_mask=seen)
            hidden = hidden + attention.out_proj(heard.transpose(1, 2).flatten(2))
            attention = layer.encoder_attn
            query = self._split(attention.q_proj(layer.encoder_attn_layer_norm(hidden)))
            heard = scaled_dot_product_attention(query, *encoder)
            hidden = hidden + attention.out_proj(heard.transpose(1, 2).flatten(2))
            normal = layer.final_layer_norm(hidden)
            hidden = hidden + layer.fc2(layer.activation_fn(layer.fc1(normal)))
        return self._model.proj_out(decoder.layer_norm(hidden))
