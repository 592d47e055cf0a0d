"""What happens in a conversation: one type an event, all on one monotonic clock.

``at_ms`` counts from the session's begin. ``turn`` is the user's turn, counted from 1 (0 before the
first). ``attempt`` counts the silences in which an answer was prepared: it is given up when the
speaker goes on, so that a turn can have several.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Mode = Literal["serial", "overlapped"]
Stage = Literal["source", "vad", "turn", "recognizer", "chat", "synthesizer", "player"]
Outcome = Literal["done", "cancelled", "failed", "timed out"]
Answer = Literal["spoken", "cancelled", "interrupted", "nothing heard", "failed", "closed"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened ``at_ms`` after the session's begin, in the user's ``turn``."""

    at_ms: float
    turn: int

    @property
    def kind(self) -> str:
        """The type as it stands in JSON: ``speech_started``."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()

    def to_dict(self) -> dict[str, Any]:
        """The event as JSON values, its kind first."""
        values = asdict(self)
        values["at_ms"] = round(values["at_ms"], 3)
        return {"event": self.kind, **values}


@dataclass(frozen=True, kw_only=True)
class SessionStarted(Event):
    """The first event. ``stages`` names what runs in each stage."""

    mode: Mode
    stages: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SpeechStarted(Event):
    """The user speaks, or goes on after a pause; known ``at_ms``, begun at ``onset_ms``."""

    onset_ms: float


@dataclass(frozen=True, kw_only=True)
class SpeechPaused(Event):
    """The user fell silent at ``speech_end_ms``; whether the turn is over isn't known yet."""

    speech_end_ms: float


@dataclass(frozen=True, kw_only=True)
class PartialText(Event):
    """What the user said so far: ``confirmed`` stays, ``tentative`` may change."""

    confirmed: str
    tentative: str
    took_ms: float


@dataclass(frozen=True, kw_only=True)
class TurnJudged(Event):
    """How long this silence must last until the turn counts as over.

    ``probability`` of its being over is None where nobody was asked.
    """

    attempt: int
    wait_ms: float
    probability: float | None


@dataclass(frozen=True, kw_only=True)
class TurnEnded(Event):
    """The turn is over: the silence lasted long enough, or (``forced``) the turn is too long."""

    speech_end_ms: float
    forced: bool = False


@dataclass(frozen=True, kw_only=True)
class AttemptStarted(Event):
    """A silence began that may be the turn's end: an answer is prepared."""

    attempt: int


@dataclass(frozen=True, kw_only=True)
class StageStarted(Event):
    """A stage works for an attempt, on ``text`` where it takes text."""

    attempt: int
    stage: Stage
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class StageEnded(Event):
    """A stage is through, with ``text`` where it makes text."""

    attempt: int
    stage: Stage
    outcome: Outcome
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class FirstToken(Event):
    """The chat model's first piece of text."""

    attempt: int


@dataclass(frozen=True, kw_only=True)
class ClauseReady(Event):
    """A clause of the answer goes to the synthesizer (serial: the whole answer)."""

    attempt: int
    text: str


@dataclass(frozen=True, kw_only=True)
class AudioReady(Event):
    """Chunk ``index`` of the answer's sound is handed to the player, which may still wait."""

    attempt: int
    index: int
    audio_ms: float


@dataclass(frozen=True, kw_only=True)
class AudioPlayed(Event):
    """Chunk ``index`` goes to the player; the first is heard now, others after those before."""

    attempt: int
    index: int
    audio_ms: float


@dataclass(frozen=True, kw_only=True)
class BargeIn(Event):
    """The user speaks into the answer, which stops."""

    attempt: int


@dataclass(frozen=True, kw_only=True)
class AttemptEnded(Event):
    """How an answer ended.

    ``spoken`` to its end, ``cancelled`` because the speaker went on, ``interrupted`` by a barge-in,
    ``nothing heard``, ``failed`` where no sound could be made, ``closed`` with the session.
    """

    attempt: int
    outcome: Answer


@dataclass(frozen=True, kw_only=True)
class StageFailed(Event):
    """A stage failed or ran out of time; the session lives on. ``attempt`` is 0 outside of one."""

    attempt: int
    stage: Stage
    error: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class SessionEnded(Event):
    """The last event. ``vad_frame_ms`` is the mean time of the voice-activity detector."""

    reason: str
    vad_frame_ms: float = 0.0
