"""What a recognizer takes and gives: audio in; text with its times, confidence and latency out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from workbench.audio import Audio

Window = Literal["full", "trimmed"]


@dataclass(frozen=True)
class Word:
    """A word with its time and the probability the model gave it."""

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True)
class Segment:
    """A stretch of the recording; ``words`` is filled where word times were asked for."""

    text: str
    start_s: float
    end_s: float
    average_logprob: float
    no_speech_probability: float
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Transcript:
    """A recording's text with how it came about.

    ``latency_ms`` is from the call to the text. ``stages_ms`` (``features``, ``encode``,
    ``decode``) is filled where the implementation runs them one by one. ``window_s`` is how much
    audio, padding included, the encoder saw at a time: 30 s, or less where the window is trimmed
    (then the longest).
    """

    text: str
    segments: tuple[Segment, ...]
    language: str
    duration_s: float
    latency_ms: float
    window_s: float
    model: str
    weights: str
    implementation: str
    compute_type: str
    stages_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def rtf(self) -> float:
        """Real-time factor: latency / audio; below 1 is faster than real time."""
        return self.latency_ms / 1000 / self.duration_s

    @property
    def words(self) -> tuple[Word, ...]:
        """All segments' words."""
        return tuple(word for segment in self.segments for word in segment.words)


class Recognizer(Protocol):
    """Audio in, text out. ``gives_word_times``: whether ``words=True`` can be asked for."""

    name: str
    implementation: str
    weights: str
    compute_type: str
    gives_word_times: bool

    def transcribe(self, audio: Audio, *, words: bool = False) -> Transcript:
        """The text of ``audio`` (any rate and length), with word times where asked for."""
        ...

    def transcribe_batch(self, audios: Sequence[Audio]) -> list[Transcript]:
        """Several recordings; at the same time where the implementation has several workers."""
        ...

    def warm_up(self) -> float:
        """Runs once; returns the seconds it took."""
        ...
