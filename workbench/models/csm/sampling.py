"""Choosing a code from logits."""

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

    @property
    def is_greedy(self) -> bool:
        """Whether no random number is needed."""
        return self.temperature == self.depth_temperature == 0.0


def gumbel_(noise: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """Fills ``noise`` (float32, any shape) with Gumbel draws, in place; returns it."""
    # -log of an exponential draw is a Gumbel draw.
    return noise.exponential_(generator=generator).log_().neg_()


def choose(
    logits: torch.Tensor,
    temperature: torch.Tensor | None,
    top_k: int,
    gumbel: torch.Tensor | None,
) -> torch.Tensor:
    """One code a row from ``logits`` ``[B, V]``; returns ``[B]`` int64. Nothing syncs the host.

    Gumbel-max: ``argmax(logits / temperature + gumbel)`` is a draw from the softmax, and needs
    no host synchronization, where ``torch.multinomial`` checks its input on the host
    (Kool et al. 2019, arXiv 1903.06059). ``temperature`` is a scalar on the device, so that it can
    change without a new graph; None is greedy. ``gumbel`` is ``[B, V]``. Ties take the lowest
    index.
    """
    if temperature is None or gumbel is None:
        return logits.argmax(dim=-1)
    return (_kept(logits, temperature, top_k) + gumbel).argmax(dim=-1)


def choose_multinomial(
    logits: torch.Tensor,
    temperature: torch.Tensor | None,
    top_k: int,
    generator: torch.Generator | None,
) -> torch.Tensor:
    """As ``choose``, by softmax and ``torch.multinomial``: transformers' way, which on a GPU waits.

    The same distribution from other draws.
    """
    if temperature is None:
        return logits.argmax(dim=-1)
    shares = _kept(logits, temperature, top_k).softmax(dim=-1)
    return torch.multinomial(shares, 1, generator=generator)[:, 0]


def _kept(logits: torch.Tensor, temperature: torch.Tensor, top_k: int) -> torch.Tensor:
    """Scores ``[B, V]`` float32, all but the ``top_k`` largest at minus infinity."""
    scores = logits.float() / temperature
    if 0 < top_k < scores.shape[-1]:
        smallest_kept = scores.topk(top_k, dim=-1).values[:, -1:]
        scores = scores.masked_fill(scores < smallest_kept, float("-inf"))
    return scores
