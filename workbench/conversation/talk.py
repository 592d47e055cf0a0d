"""A recording talked to: the session, its trace, its times and the sound of both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from workbench.audio import Audio
from workbench.conversation import events as e
from workbench.conversation.clock import run
from workbench.conversation.figures import TurnFigures, turn_figures
from workbench.conversation.session import Session
from workbench.conversation.settings import Settings
from workbench.conversation.sinks import Recording
from workbench.conversation.sources import Feed
from workbench.conversation.stages import Stages
from workbench.conversation.trace import Trace
from workbench.conversation.waterfall import Span, spans_of


@dataclass(frozen=True)
class Talk:
    """What came of a conversation with ``question``.

    ``answer`` is what was played, from the session's begin on, with its silences; ``question`` was
    heard ``offset_s`` after that begin.
    """

    question: Audio
    answer: Audio
    offset_s: float
    trace: Trace
    settings: Settings

    @cached_property
    def turns(self) -> list[TurnFigures]:
        """The times of each turn."""
        return turn_figures(self.trace)

    @property
    def first(self) -> TurnFigures | None:
        """The first turn that got an answer aloud, None where none did."""
        return next((turn for turn in self.turns if turn.answered_aloud), None)

    @property
    def failures(self) -> list[e.StageFailed]:
        """What stages did wrong."""
        return self.trace.of(e.StageFailed)

    def spans(self, turn: int | None = None) -> list[Span]:
        """The time line of ``turn``; default: the first answered one, or else the first."""
        if turn is None:
            chosen = self.first or (self.turns[0] if self.turns else None)
            if chosen is None:
                return []
            turn = chosen.turn
        return spans_of(self.trace, turn)

    @cached_property
    def sound(self) -> Audio:
        """Both sides as a listener in the room hears them, waits included."""
        rate_hz = self.answer.rate_hz
        asked = self.question.resampled(rate_hz).samples
        first = round(self.offset_s * rate_hz)
        both = np.zeros(max(len(self.answer), first + len(asked)), np.float32)
        both[first : first + len(asked)] += asked
        both[: len(self.answer)] += self.answer.samples
        return Audio(both, rate_hz)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, with all events."""
        first = self.first
        return {
            "mode": self.settings.mode,
            "first_audio_ms": None if first is None else round(first.first_audio_ms or 0.0, 3),
            "turns": [turn.to_dict() for turn in self.turns],
            "events": self.trace.to_list(),
        }


def talk(
    stages: Stages,
    question: Audio,
    settings: Settings | None = None,
    *,
    paced: bool = True,
    simulated: bool = False,
    on_event: Callable[[e.Event], None] = lambda event: None,
) -> Talk:
    """Feeds ``question`` to a session in real time and waits for the last answer's end.

    ``paced=False`` doesn't wait for the sound to be played. ``simulated`` runs on the simulated
    clock, with scripted stages. The trace is checked.

    Raises what ``Session.run`` raises, TraceError for a trace that contradicts itself.
    """
    settings = settings or Settings()
    trace = Trace()

    def keep(event: e.Event) -> None:
        trace.append(event)
        on_event(event)

    async def work() -> Talk:
        recording = Recording(paced=paced)
        session = Session(stages, settings, on_event=keep)
        await session.run(Feed(question, rate_hz=stages.vad.rate_hz), recording)
        answer = recording.timeline(stages.synthesizer.rate_hz, session.began_s)
        offset_s = session.hearing.clock_ms(0.0) / 1000
        return Talk(question, answer, offset_s, trace, settings)

    made = run(work, simulated=simulated)
    trace.validate()
    return made
