"""Tokens one by one: greedy or sampled, and greedy ones drafted by a smaller model.

Speculative decoding is Leviathan et al., 2023 ("Fast inference from transformers via speculative
decoding"), in its greedy form: a drafted token is kept where it is the one that the large model
would have chosen, so the text is the large model's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from workbench.models.chat.decoder import Decoder, GrowingDecoder

Choose = Callable[[Tensor], int]


def chooser(temperature: float, seed: int, device: torch.device) -> Choose:
    """One token from logits ``[V]``: the largest at temperature 0, else a draw (Gumbel-max)."""
    if temperature == 0:
        return lambda logits: int(logits.argmax())
    source = torch.Generator(device).manual_seed(seed)

    def draw(logits: Tensor) -> int:
        noise = torch.empty_like(logits).exponential_(generator=source).log_()
        return int((logits / temperature - noise).argmax())

    return draw


def tokens_of(decoder: Decoder, prompt: list[int], choose: Choose) -> Iterator[int]:
    """Endless tokens after ``prompt``; the caller stops."""
    logits = decoder.feed(prompt, last=True)[-1]
    while True:
        token = choose(logits)
        yield token
        logits = decoder.feed([token])[-1]


def drafted_tokens(
    target: GrowingDecoder, draft: GrowingDecoder, prompt: list[int], count: int
) -> Iterator[int]:
    """Endless greedy tokens of ``target``, of which ``draft`` guesses ``count`` at a time."""
    known = list(prompt)  # the text so far; both caches hold a part of it
    known.append(int(target.feed(prompt, last=True)[-1].argmax()))
    yield known[-1]
    while True:
        guesses: list[int] = []
        unseen = known[draft.length :]
        for _ in range(count):
            guesses.append(int(draft.feed(unseen, last=True)[-1].argmax()))
            unseen = guesses[-1:]
        chosen = target.feed([known[-1], *guesses]).argmax(-1).tolist()
        right = 0
        while right < count and chosen[right] == guesses[right]:
            right += 1
        # One token more than was guessed right: the target's own.
        target.cut(len(known) + right)
        draft.cut(len(known) + right)
        for token in chosen[: right + 1]:
            known.append(token)
            yield token
