"""A trace is checked event by event; one that contradicts itself is refused where it does."""

import json
from dataclasses import replace

import pytest

from workbench.conversation import events as e
from workbench.conversation.checker import TraceChecker, TraceError
from workbench.conversation.scripted import scripted_stages, spoken
from workbench.conversation.settings import Settings
from workbench.conversation.talk import talk
from workbench.conversation.trace import Trace


@pytest.fixture(scope="module", params=["serial", "overlapped"])
def made(request):
    return talk(scripted_stages(), spoken([3, 4]), Settings(mode=request.param), simulated=True)


def test_a_real_trace_holds_and_can_be_written(made, tmp_path):
    made.trace.validate()
    written = json.loads(made.trace.write(tmp_path / "trace.json").read_text())
    assert [one["event"] for one in written[:2]] == ["session_started", "speech_started"]
    assert written == made.trace.to_list()
    times = [one["at_ms"] for one in written]
    assert times == sorted(times)
    assert written[-1] == {**written[-1], "event": "session_ended", "reason": "the source ended"}


@pytest.mark.parametrize(
    "kind",
    [
        e.SessionStarted,
        e.SpeechStarted,
        e.SpeechPaused,
        e.AttemptStarted,
        e.StageStarted,
        e.StageEnded,
        e.AttemptEnded,
        e.SessionEnded,
    ],
)
def test_none_may_be_missing(made, kind):
    events = made.trace.events
    places = [n for n, one in enumerate(events) if isinstance(one, kind)]
    assert places
    assert all(_refused([*events[:n], *events[n + 1 :]]) for n in places)


def test_order_and_time_matter(made):
    events = made.trace.events
    assert _refused(list(reversed(events)))
    later = replace(events[3], at_ms=events[-1].at_ms + 1)
    assert _refused([*events[:3], later, *events[4:]])
    with pytest.raises(TraceError, match="no session's end"):
        Trace(events[:-1]).validate()


BASE = [
    e.SessionStarted(at_ms=0, turn=0, mode="overlapped"),
    e.SpeechStarted(at_ms=1, turn=1, onset_ms=0.5),
    e.SpeechPaused(at_ms=2, turn=1, speech_end_ms=1.5),
    e.AttemptStarted(at_ms=3, turn=1, attempt=1),
]
PLAYED = [
    e.ClauseReady(at_ms=4, turn=1, attempt=1, text="yes"),
    e.AudioReady(at_ms=5, turn=1, attempt=1, index=0, audio_ms=80),
]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (e.SpeechPaused(at_ms=4, turn=1, speech_end_ms=2), "pauses twice"),
        (e.SpeechStarted(at_ms=4, turn=2, onset_ms=3), "follows turn 1"),
        (e.SpeechStarted(at_ms=4, turn=1, onset_ms=9), "before it begins"),
        (e.AttemptStarted(at_ms=4, turn=1, attempt=2), "while 1 is open"),
        (e.AudioReady(at_ms=4, turn=1, attempt=1, index=0, audio_ms=80), "before any clause"),
        (e.FirstToken(at_ms=4, turn=1, attempt=2), "doesn't belong"),
        (e.StageEnded(at_ms=4, turn=1, attempt=1, stage="chat", outcome="done"), "didn't start"),
        (e.BargeIn(at_ms=4, turn=1, attempt=1), "not yet asked for"),
        (e.AttemptEnded(at_ms=4, turn=1, attempt=1, outcome="spoken"), "played to its end"),
        (e.SessionEnded(at_ms=4, turn=1, reason=""), "open"),
        (e.SessionStarted(at_ms=4, turn=1, mode="serial"), "only begin"),
        (e.TurnEnded(at_ms=4, turn=1, speech_end_ms=9), "before it happens"),
    ],
)
def test_what_cannot_be_is_named(wrong, words):
    checker = TraceChecker()
    for event in BASE:
        checker.check(event)
    with pytest.raises(TraceError, match=words):
        checker.check(wrong)


def test_nothing_is_played_before_the_turn_is_over():
    checker = TraceChecker()
    for event in [*BASE, *PLAYED]:
        checker.check(event)
    with pytest.raises(TraceError, match="before the turn is over"):
        checker.check(e.AudioPlayed(at_ms=6, turn=1, attempt=1, index=0, audio_ms=80))


def _refused(events):
    try:
        Trace(events).validate()
    except TraceError:
        return True
    return False
