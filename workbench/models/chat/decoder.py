"""Next-token logits, a token at a time: with transformers' growing cache, or its static one.

Both work for any causal model of transformers. The static cache's buffers stay where they are, so
that every step has the same shapes and can be compiled, and a CUDA graph can replay it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from workbench.errors import InputError


class Decoder(Protocol):
    """One conversation's place in a model."""

    length: int
    capacity: int

    def feed(self, tokens: Sequence[int], *, last: bool = False) -> Tensor:
        """Logits ``[N, V]`` float32 after each of ``tokens``, which come next.

        ``last`` wants only those after the last of them, ``[1, V]``.
        """
        ...


class GrowingDecoder:
    """transformers' ``DynamicCache``: grows with each token, can be cut back."""

    def __init__(self, model: Any) -> None:
        from transformers import DynamicCache

        self._model = model
        self._cache = DynamicCache(config=model.config)
        self.capacity = int(model.config.max_position_embeddings)
        self.length = 0

    def feed(self, tokens: Sequence[int], *, last: bool = False) -> Tensor:
        """Logits ``[N, V]`` after each of ``tokens``, or ``[1, V]`` after the ``last``."""
        _check_room(self, len(tokens))
        made = self._model(
            input_ids=torch.tensor([list(tokens)], device=self._model.device),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=int(last),
        )
        self.length += len(tokens)
        logits: Tensor = made.logits[0].float()
        return logits

    def cut(self, length: int) -> None:
        """Forgets all but the first ``length`` tokens."""
        if length < self.length:
            self._cache.crop(length - self.length)
            self.length = length


class FixedDecoder:
    """transformers' ``StaticCache`` of ``capacity`` tokens; ``restart`` begins another text.

    ``compile_mode`` compiles the step of one token (``torch.compile``'s modes).
    """

    def __init__(self, model: Any, capacity: int, compile_mode: str | None = None) -> None:
        from transformers import StaticCache

        self._model = model
        self.capacity = min(capacity, int(model.config.max_position_embeddings))
        self._cache = StaticCache(config=model.config, max_cache_len=self.capacity)
        self._marked = compile_mode in ("reduce-overhead", "max-autotune")
        self._step: Callable[[Tensor, Tensor], Tensor] = (
            torch.compile(self._forward, mode=compile_mode, dynamic=False)
            if compile_mode
            else self._forward
        )
        self.length = 0

    def restart(self) -> None:
        """Forgets all tokens; the buffers stay."""
        self._cache.reset()
        self.length = 0

    def feed(self, tokens: Sequence[int], *, last: bool = False) -> Tensor:
        """Logits after ``tokens``, as above; one token runs the compiled step."""
        _check_room(self, len(tokens))
        device = self._model.device
        ids = torch.tensor([list(tokens)], device=device)
        at = torch.arange(self.length, self.length + len(tokens), device=device)[None]
        self.length += len(tokens)
        if len(tokens) > 1:
            return self._forward(ids, at, int(last))
        if self._marked:
            torch.compiler.cudagraph_mark_step_begin()
        # A CUDA graph writes its result to the same place each time.
        return self._step(ids, at).clone() if self._marked else self._step(ids, at)

    def _forward(self, ids: Tensor, at: Tensor, keep: int = 0) -> Tensor:
        made = self._model(
            input_ids=ids,
            position_ids=at,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=keep,
        )
        logits: Tensor = made.logits[0].float()
        return logits


def _check_room(decoder: Decoder, tokens: int) -> None:
    if decoder.length + tokens > decoder.capacity:
        raise InputError(
            f"{decoder.length + tokens} tokens for a cache of {decoder.capacity}",
            "shorten the conversation or max_tokens, or load with a larger capacity",
        )
