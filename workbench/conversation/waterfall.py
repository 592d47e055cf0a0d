"""A turn on a time line: what each stage did when, with the end of the user's speech at 0 ms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workbench.conversation import events as e
from workbench.conversation.figures import turn_figures

LANES = ("user speaks", "turn over?", "recognizer", "chat", "synthesizer", "answer plays")
_LANE: dict[str, str] = {
    "recognizer": "recognizer",
    "chat": "chat",
    "synthesizer": "synthesizer",
}
_COLUMNS = 64
_PIECES = 3  # of a lane are told one by one
_GAP_MS = 5.0  # a shorter one is the clock's
_SIGNS = {"done": "█", "cancelled": "░", "failed": "x", "timed out": "x"}


@dataclass(frozen=True)
class Span:
    """Something of a turn that lasted, in ms from the end of the user's speech."""

    lane: str
    start_ms: float
    end_ms: float
    outcome: e.Outcome = "done"
    text: str = ""


def spans_of(events: Iterable[e.Event], turn: int) -> list[Span]:
    """The spans of ``turn``, which must be over; those of given-up attempts are ``cancelled``.

    What an interrupted answer was still doing when the next turn began is not in it.
    """
    everything = list(events)
    (figures,) = [one for one in turn_figures(everything) if one.turn == turn]
    zero_ms = figures.speech_end_ms
    spans: list[Span] = []
    begun: dict[tuple[int, str], e.StageStarted] = {}
    played: list[Span] = []
    onset_ms: float | None = None
    for event in everything:
        if event.turn != turn:
            continue
        if isinstance(event, e.SpeechStarted):
            onset_ms = event.onset_ms
        elif isinstance(event, e.SpeechPaused | e.TurnEnded):
            if onset_ms is not None:
                spans.append(Span("user speaks", onset_ms - zero_ms, event.speech_end_ms - zero_ms))
                onset_ms = None
            if isinstance(event, e.TurnEnded):
                over_ms = event.at_ms - zero_ms
                spans.append(Span("turn over?", event.speech_end_ms - zero_ms, over_ms))
        elif isinstance(event, e.StageStarted):
            begun[event.attempt, event.stage] = event
        elif isinstance(event, e.StageEnded) and event.stage in _LANE:
            start = begun[event.attempt, event.stage]
            text = event.text or start.text
            spans.append(
                Span(_LANE[event.stage], start.at_ms - zero_ms, event.at_ms - zero_ms,
                     event.outcome, text)
            )  # fmt: skip
        elif isinstance(event, e.AudioPlayed):
            start_ms = max(event.at_ms - zero_ms, played[-1].end_ms if played else 0.0)
            end_ms = start_ms + event.audio_ms
            if played and start_ms <= played[-1].end_ms + _GAP_MS:
                start_ms = played.pop().start_ms
            played.append(Span("answer plays", start_ms, end_ms))
    return [*spans, *played]


def as_text(spans: Sequence[Span]) -> str:
    """The time line in characters, for a terminal and for who can't see the plot."""
    if not spans:
        return "nothing happened"
    first, last = min(span.start_ms for span in spans), max(span.end_ms for span in spans)
    step_ms = max(last - first, 1.0) / _COLUMNS
    lines = [f"{'':14}{first:,.0f} ms … {last:,.0f} ms after the end of speech"]
    zero = round(-first / step_ms)
    for lane in LANES:
        mine = [span for span in spans if span.lane == lane]
        row = [" "] * (_COLUMNS + 1)
        if 0 <= zero < len(row):
            row[zero] = "|"
        for span in mine:
            begin = int((span.start_ms - first) / step_ms)
            end = max(begin + 1, round((span.end_ms - first) / step_ms))
            row[begin:end] = _SIGNS[span.outcome] * (end - begin)
        words = ", ".join(_words(span) for span in mine)
        if len(mine) > _PIECES:  # a player that ran dry
            words = f"{_words(Span(lane, mine[0].start_ms, mine[-1].end_ms))} in {len(mine)} pieces"
        lines.append(f"{lane:14}{''.join(row).rstrip():{_COLUMNS + 2}}{words}".rstrip())
    return "\n".join(lines)


def _words(span: Span) -> str:
    how = "" if span.outcome == "done" else f" {span.outcome}"
    start_ms, end_ms = (round(value) + 0 for value in (span.start_ms, span.end_ms))
    return f"{start_ms:,} to {end_ms:,}{how}"
