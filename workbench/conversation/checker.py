"""What must hold in every trace, checked event by event, so that hours can be checked as well.

- Times never run backwards; a session begins once and ends once; turns count up by one.
- Speech and pause alternate. A turn ends once, and not before its speech did.
- One attempt at a time; what belongs to an attempt lies between its begin and its end.
- Every stage that starts ends, before the attempt does, and no sound is made before a clause.
- Sound is played only once the turn is over, in order, each chunk after it is ready.
- In serial mode nothing is answered before the turn's end, and one stage starts after the other.
"""

from __future__ import annotations

from workbench.conversation import events as e
from workbench.errors import WorkbenchError

_HEARING: tuple[str, ...] = ("recognizer", "turn")  # stages that find out whether a turn is over


class TraceError(WorkbenchError):
    """A trace contradicts itself: an error in the pipeline, not in the conversation."""


class TraceChecker:
    """Takes events in order; raises TraceError for the first that can't be."""

    def __init__(self) -> None:
        self.count = 0
        self._at_ms = 0.0
        self._mode: e.Mode | None = None
        self._ended = False
        self._turn = 0
        self._turn_over = True  # of the newest turn
        self._speaking = False
        self._attempt = 0  # the newest one
        self._open: int | None = None
        self._running: set[tuple[int, e.Stage]] = set()
        self._clauses = self._ready = self._played = 0  # of the open attempt

    def check(self, event: e.Event) -> None:
        """The next event."""
        self.count += 1
        self._require(event, not self._ended, "comes after the session's end")
        self._require(event, event.at_ms >= self._at_ms, f"is before {self._at_ms:.3f} ms")
        self._require(
            event,
            (self._mode is None) == isinstance(event, e.SessionStarted),
            "isn't the session's only begin",
        )
        self._at_ms = event.at_ms
        if isinstance(event, e.SessionStarted):
            self._mode = event.mode
        elif isinstance(event, e.SessionEnded):
            self._require(event, self._open is None, f"leaves attempt {self._open} open")
            self._require(event, not self._running, f"leaves {sorted(self._running)} running")
            self._ended = True
        elif isinstance(event, e.SpeechStarted | e.SpeechPaused | e.TurnEnded):
            self._speech(event)
        elif isinstance(event, e.StageStarted | e.StageEnded):
            self._stage(event)
        elif isinstance(event, e.AttemptStarted):
            self._require(event, self._open is None, f"begins while {self._open} is open")
            self._require(event, event.attempt > self._attempt, "has the number of an earlier one")
            self._attempt = self._open = event.attempt
            self._clauses = self._ready = self._played = 0
        elif isinstance(event, e.FirstToken | e.ClauseReady | e.AudioReady | e.AudioPlayed):
            self._answer(event)
        elif isinstance(event, e.TurnJudged):
            self._of_open(event, event.attempt)
        elif isinstance(event, e.BargeIn):
            self._of_open(event, event.attempt)
            self._require(event, self._turn_over, "interrupts an answer not yet asked for")
        elif isinstance(event, e.AttemptEnded):
            self._close(event)

    def finish(self) -> None:
        """The trace is complete: it must have ended."""
        if not self._ended:
            raise TraceError("the trace has no session's end", "close the session first")

    def _speech(self, event: e.SpeechStarted | e.SpeechPaused | e.TurnEnded) -> None:
        new = isinstance(event, e.SpeechStarted) and self._turn_over
        self._require(event, event.turn == self._turn + new, f"follows turn {self._turn}")
        if isinstance(event, e.SpeechStarted):
            self._require(event, not self._speaking, "begins twice")
            self._require(event, event.onset_ms <= event.at_ms, "is known before it begins")
            self._speaking, self._turn, self._turn_over = True, event.turn, False
            return
        self._require(event, not self._turn_over, "belongs to a turn that is over")
        self._require(event, event.speech_end_ms <= event.at_ms, "is known before it happens")
        if isinstance(event, e.SpeechPaused):
            self._require(event, self._speaking, "pauses twice")
        else:
            self._require(event, event.forced or not self._speaking, "ends in mid-speech")
            self._turn_over = True
        self._speaking = False

    def _stage(self, event: e.StageStarted | e.StageEnded) -> None:
        self._of_open(event, event.attempt)
        key = (event.attempt, event.stage)
        if isinstance(event, e.StageEnded):
            self._require(event, key in self._running, "ends what didn't start")
            self._running.discard(key)
            return
        self._require(event, key not in self._running, "starts twice")
        if self._mode == "serial" and event.stage not in _HEARING:
            self._require(event, self._turn_over, "starts before the turn's end")
            self._require(event, not self._running, f"starts beside {sorted(self._running)}")
        self._running.add(key)

    def _answer(self, event: e.FirstToken | e.ClauseReady | e.AudioReady | e.AudioPlayed) -> None:
        self._of_open(event, event.attempt)
        if isinstance(event, e.ClauseReady):
            self._clauses += 1
        elif isinstance(event, e.AudioReady):
            self._require(event, self._clauses > 0, "comes before any clause")
            self._require(event, event.index == self._ready, f"isn't chunk {self._ready}")
            self._ready += 1
        elif isinstance(event, e.AudioPlayed):
            self._require(event, self._turn_over, "is played before the turn is over")
            self._require(event, event.index == self._played, f"isn't chunk {self._played}")
            self._require(event, event.index < self._ready, "is played before it is ready")
            self._played += 1

    def _close(self, event: e.AttemptEnded) -> None:
        self._of_open(event, event.attempt)
        running = [key for key in self._running if key[0] == event.attempt]
        self._require(event, not running, f"leaves {running} running")
        if event.outcome == "spoken":
            self._require(event, 0 < self._played == self._ready, "wasn't played to its end")
        self._open = None

    def _of_open(self, event: e.Event, attempt: int) -> None:
        self._require(event, attempt == self._open, f"doesn't belong to attempt {self._open}")

    def _require(self, event: e.Event, holds: bool, words: str) -> None:
        if not holds:
            raise TraceError(f"event {self.count} {words}: {event}", "report this trace")
