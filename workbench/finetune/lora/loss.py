"""CSM's training loss on cached codes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from workbench.finetune.lora.batches import Batch

# Sesame trains the depth decoder on one frame in 16, chosen at random, and the backbone on all:
# the depth decoder's memory is that of frames × codebooks. They saw no difference in the losses.
# https://www.sesame.com/research/crossing_the_uncanny_valley_of_voice ("Compute amortization")
DEPTH_SHARE = 1 / 16


def speech_loss(
    model: Any, batch: Batch, depth_share: float, source: torch.Generator | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean cross-entropy of codebook 0 over all frames, plus that of the others over some frames.

    ``source`` (a CPU generator) draws the frames that the depth decoder sees, ``depth_share`` of
    all, one at least; None takes evenly spaced ones. The frame that ends the audio counts as any.

    It is the loss of transformers' ``CsmForConditionalGeneration``, in two calls: its own forward
    pass (5.23) fails where the depth decoder sees as many frames as there are codebooks, whose mask
    it makes of positions ``[K]``, and with gradient checkpointing, by a change in place.
    """
    text = model.embed_text_tokens(batch.text)
    frames = model.backbone_model.embed_tokens(batch.codes)
    embedded = torch.where(batch.is_frame[..., None], frames, text)
    states = model.backbone_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
    row, place = torch.nonzero(batch.is_frame, as_tuple=True)
    before, wanted = states[row, place - 1], batch.codes[row, place]  # [F, H], [F, K]
    first = F.cross_entropy(model.lm_head(before).float(), wanted[:, 0])
    chosen = _chosen(len(row), depth_share, source).to(row.device)
    depth = _depth_loss(model.depth_decoder, before[chosen], wanted[chosen])
    return first + depth, {"first": first.detach(), "depth": depth.detach()}


def _depth_loss(decoder: Any, before: Tensor, wanted: Tensor) -> Tensor:
    """Mean cross-entropy of codes ``wanted[:, 1:]``, given the states ``[F, H]`` before frames."""
    offsets = torch.arange(wanted.shape[1] - 1, device=wanted.device) * decoder.config.vocab_size
    known = decoder.model.embed_tokens(wanted[:, :-1] + offsets)
    return decoder(
        inputs_embeds=torch.cat([before[:, None].to(known.dtype), known], dim=1),
        attention_mask=torch.ones_like(wanted),
        labels=wanted,
        use_cache=False,
    ).loss


def _chosen(count: int, share: float, source: torch.Generator | None) -> Tensor:
    """Places of the frames that were chosen: a fixed number of them, so that shapes stay."""
    wanted = max(1, min(count, math.ceil(share * count)))
    if source is None:
        return torch.linspace(0, count - 1, wanted).long()
    return torch.randperm(count, generator=source)[:wanted]
