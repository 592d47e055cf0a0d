"""What a recognizer hears in a track where its captions say that something is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from workbench.audio import Audio
from workbench.quality.wer import WordErrorRate, word_error_rate
from workbench.reel.result import Reel

_MARGIN_S = 0.05  # around a caption: its edges are speech


class Recognizer(Protocol):
    """What hears words; ``quality.recognizer.SphinxRecognizer`` is one."""

    def transcribe(self, audio: Audio) -> str:
        """The words heard."""
        ...


@dataclass(frozen=True)
class Understood:
    """``heard`` has a text for each caption, ``rate`` the word error rate of all."""

    heard: tuple[str, ...]
    rate: WordErrorRate


def understood(reel: Reel, recognizer: Recognizer | None = None) -> Understood:
    """Each caption's piece of the track, heard by itself.

    Without a ``recognizer`` it is pocketsphinx in the nano voice's domain, which forgives more
    than a listener.
    """
    if recognizer is None:
        from workbench.quality.recognizer import SphinxRecognizer

        recognizer = SphinxRecognizer()
    heard = []
    for one in reel.captions:
        first = max(0, round((one.start_s - _MARGIN_S) * reel.audio.rate_hz))
        last = round((one.end_s + _MARGIN_S) * reel.audio.rate_hz)
        heard.append(
            recognizer.transcribe(Audio(reel.audio.samples[first:last], reel.audio.rate_hz))
        )
    return Understood(tuple(heard), word_error_rate([one.text for one in reel.captions], heard))
