"""What CSM reads before it speaks: context with its audio, then the text to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from workbench.models.csm.load import LoadedCsm


@dataclass(frozen=True)
class Segment:
    """Text said by speaker ``voice``, and for context also how it sounded.

    ``codes`` ``[K, F]`` are ``samples`` ``[T]`` (float32, at the codec's rate) encoded: our frame
    step reads the codes, transformers' ``generate`` encodes the samples anew.
    """

    text: str
    voice: int
    codes: torch.Tensor | None = None
    samples: torch.Tensor | None = None


def token_ids(csm: LoadedCsm, segments: Sequence[Segment]) -> list[int]:
    """Token ids as CsmProcessor lays them out: ``<begin>[voice]text<end>`` and, for a segment
    with sound, one audio token a frame and an end-of-audio token.
    """
    config = csm.model.config
    ids: list[int] = []
    for segment in segments:
        ids += [csm.begin_id, *csm.encode(f"[{segment.voice}]{segment.text}"), csm.end_id]
        if segment.codes is not None:
            ids += [config.audio_token_id] * segment.codes.shape[1]
            ids += [config.audio_eos_token_id]
    return ids
