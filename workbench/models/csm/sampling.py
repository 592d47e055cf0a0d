"""Choosing a code from logits without leaving the device."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Sampling:
    """How codes are chosen: the first codebook's settings and the depth decoder's.

    A temperature of 0 is greedy (the settings of top-k don't matter then). ``top_k`` of 0 keeps
    every entry.
    """

    temperature: float
    top_k: int
    depth_temperature: float
    depth_top_k: int

    @staticmethod
    def greedy() -> Sampling:
        """The largest logit everywhere."""
        return Sampling(0.0, 0, 0.0, 0)


def choose(
    logits: torch.Tensor, temperature: float, top_k: int, generator: torch.Generator | None
) -> torch.Tensor:
    """One code a row from ``logits`` ``[B, V]``; returns ``[B]`` int64.

    Gumbel-max: ``argmax(logits / temperature + gumbel)`` is a draw from the softmax, and needs
    no host synchronization, where ``torch.multinomial`` checks its input on the host
    (Kool et al. 2019, arXiv 1903.06059). Ties take the lowest index.
    """
    if temperature == 0.0:
        return logits.argmax(dim=-1)
    scores = logits.float() / temperature
    if 0 < top_k < scores.shape[-1]:
        smallest_kept = scores.topk(top_k, dim=-1).values[:, -1:]
        scores = scores.masked_fill(scores < smallest_kept, float("-inf"))
    noise = torch.empty_like(scores).exponential_(generator=generator)
    # -log of an exponential draw is a Gumbel draw.
    return (scores - noise.log()).argmax(dim=-1)
