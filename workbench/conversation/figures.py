"""The times of a turn, from its trace.

From the end of the user's speech as the voice-activity detector found it, in ms: ``turn_ms`` until
the turn counts as over, ``first_audio_ms`` until the first sound is played (what FERN calls
perceived), ``total_ms`` until all sound is ready. The others are a stage's own time until the next
stage can begin: ``recognizer_ms`` to the text, ``chat_ms`` to the first clause (serial: to the
whole answer), ``synthesizer_ms`` to the first chunk handed to the player.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from workbench.conversation import events as e

TIMES = ("first_audio_ms", "turn_ms", "recognizer_ms", "chat_ms", "synthesizer_ms", "total_ms")


@dataclass(frozen=True)
class TurnFigures:
    """One turn. Times are None where the turn didn't get that far.

    ``attempts`` counts the silences in which an answer was prepared, the last of which was given.
    """

    turn: int
    outcome: e.Answer
    heard: str
    answered: str
    attempts: int
    speech_end_ms: float  # on the session's clock
    first_audio_ms: float | None = None
    turn_ms: float | None = None
    recognizer_ms: float | None = None
    chat_ms: float | None = None
    synthesizer_ms: float | None = None
    total_ms: float | None = None

    @property
    def answered_aloud(self) -> bool:
        """Whether any sound of an answer was played."""
        return self.first_audio_ms is not None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def turn_figures(events: Iterable[e.Event]) -> list[TurnFigures]:
    """The figures of every turn that was over, in order."""
    everything = list(events)
    over = [event for event in everything if isinstance(event, e.TurnEnded)]
    return [_figures([one for one in everything if one.turn == end.turn], end) for end in over]


def _figures(events: list[e.Event], end: e.TurnEnded) -> TurnFigures:
    attempts = [one.attempt for one in events if isinstance(one, e.AttemptStarted)]
    last = max(attempts, default=0)
    mine = [one for one in events if getattr(one, "attempt", None) == last]
    ready = [one.at_ms for one in mine if isinstance(one, e.AudioReady)]
    played = [one.at_ms for one in mine if isinstance(one, e.AudioPlayed)]
    clauses = [one for one in mine if isinstance(one, e.ClauseReady)]
    began = _first(mine, e.StageStarted)
    ended = _first(mine, e.StageEnded)

    def since(start_ms: float | None, stop_ms: float | None) -> float | None:
        return None if start_ms is None or stop_ms is None else stop_ms - start_ms

    end_ms = end.speech_end_ms
    answers = [one.outcome for one in mine if isinstance(one, e.AttemptEnded)]
    texts = {one.stage: one.text for one in mine if isinstance(one, e.StageEnded) and one.text}
    return TurnFigures(
        turn=end.turn,
        outcome=answers[0] if answers else "closed",
        heard=texts.get("recognizer", ""),
        answered=" ".join(one.text for one in clauses),
        attempts=len(attempts),
        speech_end_ms=end_ms,
        first_audio_ms=since(end_ms, min(played, default=None)),
        turn_ms=end.at_ms - end_ms,
        recognizer_ms=since(began.get("recognizer"), ended.get("recognizer")),
        chat_ms=since(began.get("chat"), clauses[0].at_ms if clauses else None),
        synthesizer_ms=since(began.get("synthesizer"), min(ready, default=None)),
        total_ms=since(end_ms, max(ready, default=None)),
    )


def _first(
    events: list[e.Event], kind: type[e.StageStarted] | type[e.StageEnded]
) -> dict[e.Stage, float]:
    """When each stage first began, or ended."""
    found: dict[e.Stage, float] = {}
    for one in events:
        if isinstance(one, e.StageStarted | e.StageEnded) and isinstance(one, kind):
            found.setdefault(one.stage, one.at_ms)
    return found
