"""Speakers who hesitate or haven't finished: utterances cut between words for whisper-nano.

Without them a recognizer fills pauses inside a sentence with words, and finishes what is still
being said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workbench.finetune.nano.dataset import Shard
from workbench.finetune.nano.speech import RATE_HZ

MOST_PARTS = 3
PAUSES_S = (0.15, 1.5)
_FADE = RATE_HZ // 100  # samples; a cut in mid-sound would click


@dataclass(frozen=True)
class Spoken:
    """An utterance's place on disk, its tokens and where in it (in samples) each is spoken.

    ``words`` ``[N]`` says which tokens begin a word. ``start`` is above 0 for a part of an
    utterance, from whose beginning ``spans`` count.
    """

    shard: Shard
    position: int
    length: int
    tokens: np.ndarray  # [N]
    spans: np.ndarray | None  # [N, 2]; None where unknown
    words: np.ndarray
    start: int = 0

    @property
    def whole(self) -> bool:
        """Whether it is the utterance and not a part of it."""
        starts = self.shard.index["sample_starts"]
        return self.length == int(starts[self.position + 1] - starts[self.position])

    def samples(self) -> np.ndarray:
        """Its sound ``[length]``; a part's ends are faded."""
        found = self.shard.utterance(self.position).samples[self.start : self.start + self.length]
        if self.whole:
            return found
        ramp = np.minimum(np.arange(1, self.length + 1) / _FADE, 1.0).astype(np.float32)
        return found * np.minimum(ramp, ramp[::-1])

    def phones(self) -> tuple[np.ndarray, np.ndarray]:
        """Its phones ``[P]`` and where each ends ``[P]``, in samples."""
        utterance = self.shard.utterance(self.position)
        ends = utterance.phone_ends
        first = int(np.searchsorted(ends, self.start, side="right"))
        last = int(np.searchsorted(ends, self.start + self.length, side="left")) + 1
        inside = np.minimum(ends[first:last] - self.start, self.length)
        return utterance.phones[first:last], inside


def parted(spoken: Spoken, source: np.random.Generator, pause: bool, begun: bool) -> list[Spoken]:
    """``spoken`` in parts between which the speaker pauses; ``begun``: without the last one.

    Whole where its words' times are unknown, or it is one word.
    """
    places = np.flatnonzero(spoken.words)[1:]
    if spoken.spans is None or not len(places) or not (pause or begun):
        return [spoken]
    count = int(source.integers(1, MOST_PARTS)) if pause else 1
    cuts = np.sort(source.choice(places, min(count, len(places)), replace=False)).tolist()
    edges = list(zip([0, *cuts], [*cuts, len(spoken.tokens)], strict=True))
    parts = [_part(spoken, first, last) for first, last in edges]
    parts = [part for part in parts if part.length > 2 * _FADE]
    return parts[:-1] or [spoken] if begun else parts or [spoken]


def pause_samples(source: np.random.Generator) -> int:
    """The length of a pause inside a sentence."""
    return int(source.uniform(*PAUSES_S) * RATE_HZ)


def begins_word(tokenizer: Any, tokens: list[int]) -> np.ndarray:
    """Which of ``tokens`` begin a word: those with the space before it."""
    return np.array([text.startswith("Ġ") for text in tokenizer.convert_ids_to_tokens(tokens)])


def _part(spoken: Spoken, first: int, last: int) -> Spoken:
    """Tokens ``first`` to ``last`` with their sound, cut in the middle between two words."""
    spans = spoken.spans
    assert spans is not None
    start = 0 if first == 0 else int(spans[first - 1, 1] + spans[first, 0]) // 2
    stop = spoken.length if last == len(spans) else int(spans[last - 1, 1] + spans[last, 0]) // 2
    length = max(stop - start, 0)
    return replace(
        spoken,
        start=start,
        length=length,
        tokens=spoken.tokens[first:last],
        spans=np.clip(spans[first:last] - start, 0, length),
        words=spoken.words[first:last],
    )
