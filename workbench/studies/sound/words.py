"""Are the words still there: error rates of two arms' clips by an independent recognizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from workbench.audio import Audio
from workbench.engines.speech import Speech
from workbench.quality.wer import (
    CharacterErrorRate,
    WerIncrease,
    WordErrorRate,
    character_error_rate,
    word_error_increase,
    word_error_rate,
)

# A baseline of which the recognizer misses most words has no room to get worse.
UNINTELLIGIBLE_WER = 0.5


class Recognizer(Protocol):
    """What hears words; `quality.recognizer.SphinxRecognizer` is one."""

    def transcribe(self, audio: Audio) -> str:
        """The words heard."""
        ...

    def unknown_words(self, text: str) -> list[str]:
        """Words of ``text`` that it can't know."""
        ...


class Transcripts:
    """A recognizer that hears each sound only once, however many arms are compared with it.

    Without a ``recognizer`` it is pocketsphinx in the nano voice's domain, made when needed.
    """

    def __init__(self, recognizer: Recognizer | None = None) -> None:
        self._recognizer = recognizer
        self._heard: dict[bytes, str] = {}

    @property
    def recognizer(self) -> Recognizer:
        """The recognizer itself."""
        if self._recognizer is None:
            from workbench.quality.recognizer import SphinxRecognizer

            self._recognizer = SphinxRecognizer()
        return self._recognizer

    def of(self, clips: Sequence[Audio]) -> list[str]:
        """What is heard in each clip."""
        return [self._one(clip) for clip in clips]

    def _one(self, clip: Audio) -> str:
        key = sha256(clip.rate_hz.to_bytes(4, "little") + clip.samples.tobytes()).digest()
        if key not in self._heard:
            self._heard[key] = self.recognizer.transcribe(clip)
        return self._heard[key]


@dataclass(frozen=True)
class Words:
    """Error rates before and after, and the paired rise of the word error rate."""

    wer_before: WordErrorRate
    wer_after: WordErrorRate
    cer_before: CharacterErrorRate
    cer_after: CharacterErrorRate
    increase: WerIncrease

    def __str__(self) -> str:
        return (
            f"WER {self.wer_before.value:.2f} → {self.wer_after.value:.2f} "
            f"({self.increase}, n = {self.increase.sentences})"
        )


def words(
    before: Sequence[Speech], after: Sequence[Speech], transcripts: Transcripts
) -> tuple[Words | None, str]:
    """The rates of clips of the same texts; or None and why no rate would mean anything."""
    texts = [clip.text for clip in before]
    if any(clip.weights == "random" for clip in before):
        return None, "random weights say no words"
    unknown = sorted(
        {word for text in texts for word in transcripts.recognizer.unknown_words(text)}
    )
    if unknown:
        return None, f"the recognizer doesn't know {', '.join(map(repr, unknown[:3]))}"
    if 2 * sum(clip.ended == "eos" for clip in before) < len(before):
        return None, "most clips of the baseline were cut by the frame limit"
    first = transcripts.of(before)
    rate = word_error_rate(texts, first)
    if rate.value > UNINTELLIGIBLE_WER:
        return None, f"the baseline itself isn't understood (WER {rate.value:.2f})"
    second = transcripts.of(after)
    return (
        Words(
            rate,
            word_error_rate(texts, second),
            character_error_rate(texts, first),
            character_error_rate(texts, second),
            word_error_increase(texts, first, second),
        ),
        "",
    )
