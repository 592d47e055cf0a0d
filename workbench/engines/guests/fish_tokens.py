"""Fish-Speech's tokens: a prompt of what was said before, and the frames drawn after it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from workbench.engines.guests.fish_caches import Caches
from workbench.engines.guests.fish_codec import FRAME_HZ
from workbench.engines.speech import Ended, Reference
from workbench.errors import InputError

MAX_REFERENCE_S = 30.0  # the package's guide: 10 to 30 s
_MIN_REFERENCE_S = 0.5
_CHARS_PER_S = 15  # read speech
_WINDOW = 16  # frames that the repetition penalty looks back, as in the package


@dataclass(frozen=True)
class Said:
    """A text and the codes ``[10, F]`` in which it was spoken."""

    text: str
    codes: torch.Tensor


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn; the same for semantic tokens and codes."""

    temperature: float
    top_p: float
    repetition_penalty: float


def checked(reference: Reference) -> Reference:
    """``reference``; InputError for one too short or long, or without its words."""
    duration_s = reference.audio.duration_s
    if not _MIN_REFERENCE_S <= duration_s <= MAX_REFERENCE_S:
        raise InputError(
            f"fish: a reference of {duration_s:.1f} s",
            f"use {_MIN_REFERENCE_S} to {MAX_REFERENCE_S:.0f} s, best 10 and more",
        )
    if not any(character.isalnum() for character in reference.text):
        raise InputError("fish: a reference without its words", "say what is spoken in it")
    return reference


def usual_frames(text: str) -> int:
    """Frames that ``text`` takes at the pace of read speech; at least a quarter of a second."""
    return math.ceil(max(0.25, len(text) / _CHARS_PER_S) * FRAME_HZ)


def prompt(tokenizer: Any, before: Sequence[Said], text: str, codebooks: int) -> torch.Tensor:
    """Tokens and codes ``[1 + codebooks, N]`` that ask for ``text``, after what was ``before``."""
    from fish_speech.content_sequence import ContentSequence, TextPart, VQPart

    sequence = ContentSequence(modality="interleave")
    for one in before:
        parts = [TextPart(text=one.text), VQPart(codes=one.codes)]
        sequence.append(parts, add_end=True, speaker=0)
    sequence.append([TextPart(text=text)], add_end=False, speaker=0)
    values: torch.Tensor = sequence.encode_for_inference(tokenizer, num_codebooks=codebooks)[0]
    return values


def fitting(
    ask: Callable[[Sequence[Said]], torch.Tensor],
    references: Sequence[Said],
    spoken: Sequence[Said],
    needed: int,
    positions: int,
) -> torch.Tensor:
    """``ask``'s prompt with all ``references`` and as much of what was ``spoken`` last as fits.

    ``needed`` positions are left free of ``positions``. Raises InputError where the references
    leave no place for them.
    """
    for first in range(len(spoken) + 1):
        asked = ask([*references, *spoken[first:]])
        if asked.shape[1] + needed < positions:
            return asked
    raise InputError(
        f"fish: references and text take {asked.shape[1]} of {positions} positions, and "
        f"{needed} are wanted to speak",
        "use shorter references, less chunk_length, or more max_seq_len",
    )


def frames(
    model: Any, caches: Caches, asked: torch.Tensor, limit: int, sampling: Sampling
) -> tuple[torch.Tensor, Ended]:
    """Codes ``[10, F]`` drawn after the prompt ``asked`` ``[11, N]``, at most ``limit`` frames.

    Each frame is the package's own step: one pass of the slow transformer, ten of the fast one.
    ``caches`` are the model's, with room for all of it.
    """
    from fish_speech.models.text2semantic.inference import decode_one_token_ar
    from fish_speech.tokenizer import IM_END_TOKEN

    device = asked.device
    amounts = [
        torch.tensor(amount, dtype=torch.float32, device=device)
        for amount in (sampling.temperature, sampling.top_p, sampling.repetition_penalty)
    ]
    end = model.tokenizer.get_token_id(IM_END_TOKEN)
    said = torch.zeros(asked.shape[0], limit, dtype=torch.long, device=device)
    step, place = asked[None], torch.arange(asked.shape[1], device=device)
    for number in range(limit):
        caches.show(asked.shape[1] + number)
        window = said[:, max(0, number - _WINDOW) : number] if number else None
        drawn = decode_one_token_ar(model, step, place, *amounts, None, None, window)
        if int(drawn[0, 0]) == end:
            return said[1:, :number], "eos"
        said[:, number] = drawn[:, 0]
        step, place = drawn[None], place[-1:] + 1
    return said[1:], "cap"
