"""What CSM reads before it speaks: context with its audio, then the text to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from workbench.models.csm.load import LoadedCsm


@dataclass(frozen=True)
class Segment:
    """Text said by speaker ``voice``, and for context also how it sounded.

    ``ids`` ``[N]`` int64 are the text's tokens on the model's device (None: not made yet).
    ``codes`` ``[K, F]`` are ``samples`` ``[T]`` (float32, at the codec's rate) encoded: our frame
    step reads the codes, transformers' ``generate`` encodes the samples anew.
    """

    text: str
    voice: int
    codes: torch.Tensor | None = None
    samples: torch.Tensor | None = None
    ids: torch.Tensor | None = None


def written(voice: int, text: str) -> str:
    """How a prompt names its speaker."""
    return f"[{voice}]{text}"


def token_ids(csm: LoadedCsm, segments: Sequence[Segment]) -> torch.Tensor:
    """Token ids ``[T]`` int64 on the model's device, as CsmProcessor lays them out:
    ``<begin>[voice]text<end>`` and, for a segment with sound, one audio token a frame and an
    end-of-audio token.
    """
    config = csm.model.config
    device = csm.model.lm_head.weight.device
    pieces: list[torch.Tensor] = []
    for segment in segments:
        pieces.append(_text_ids(csm, segment).to(device))
        if segment.codes is not None:
            sound = torch.full((segment.codes.shape[1] + 1,), config.audio_token_id, device=device)
            sound[-1] = config.audio_eos_token_id
            pieces.append(sound)
    return torch.cat(pieces)


def _text_ids(csm: LoadedCsm, segment: Segment) -> torch.Tensor:
    if segment.ids is not None:
        return segment.ids
    text = written(segment.voice, segment.text)
    return torch.tensor([csm.begin_id, *csm.encode(text), csm.end_id])


def positions_of(segments: Sequence[Segment]) -> int:
    """Positions that segments with ``ids`` take of the model's."""
    return sum(
        (0 if segment.ids is None else len(segment.ids))
        + (0 if segment.codes is None else segment.codes.shape[1] + 1)
        for segment in segments
    )
