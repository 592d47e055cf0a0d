"""Turn detectors: how long they wait, and when the tracker says that a turn is over."""

import pytest

from tests.turn_sounds import LevelVad, WordJudge
from workbench.engines.turns.activity import ActivityTracker
from workbench.engines.turns.detectors import (
    Policy,
    SemanticTurnDetector,
    SilenceTurnDetector,
    TurnTracker,
)
from workbench.errors import InputError


def ends(pattern, detector, transcripts, min_silence_s=0.1):
    """Turn ends of frames of 20 ms: (speech?, how many) pairs."""
    activities = ActivityTracker(LevelVad(), onset_ms=20)
    tracker = TurnTracker(detector, min_silence_s=min_silence_s)
    said = iter(transcripts)
    found = []
    for speech, frames in pattern:
        for _ in range(frames):
            end = tracker.push(activities.update(float(speech)), lambda: next(said))
            if end:
                found.append(end)
    return found


def test_silence_alone_waits_700_ms_by_default():
    found = ends([(0, 10), (1, 20), (0, 50)], SilenceTurnDetector(), ["hello"])
    assert len(found) == 1
    assert found[0].speech_end_s == pytest.approx(0.6)
    assert found[0].at_s == pytest.approx(1.3)
    assert found[0].wait.probability is None


def test_a_pause_shorter_than_the_wait_is_no_end():
    pattern = [(1, 10), (0, 30), (1, 10), (0, 40)]
    found = ends(pattern, SilenceTurnDetector(0.7), ["where is", "where is the bank"])
    assert [end.transcript for end in found] == ["where is the bank"]


def test_the_words_decide_how_long_a_semantic_detector_waits():
    judge = WordJudge(["where is the bank"])
    detector = SemanticTurnDetector(judge, Policy(0.5, 0.2, 1.0))
    pattern = [(1, 10), (0, 30), (1, 10), (0, 40)]
    found = ends(pattern, detector, ["where is", "where is the bank"])
    assert judge.asked == ["where is", "where is the bank"]  # once in each silence
    assert len(found) == 1
    assert found[0].at_s - found[0].speech_end_s == pytest.approx(0.2)
    assert found[0].wait.probability == 0.9
    assert found[0].wait.latency_ms > 0


def test_an_unfinished_sentence_is_over_after_the_timeout():
    detector = SemanticTurnDetector(WordJudge(["the bank"]), Policy(0.5, 0.2, 1.0))
    found = ends([(1, 10), (0, 60)], detector, ["where is"])
    assert found[0].at_s - found[0].speech_end_s == pytest.approx(1.0)


def test_nobody_is_asked_before_anything_was_said_or_in_a_gap_of_speech():
    judge = WordJudge(["x"])
    detector = SemanticTurnDetector(judge)
    assert not ends([(0, 100), (1, 10), (0, 3), (1, 10)], detector, [])
    assert not judge.asked


def test_waits_that_cannot_be():
    with pytest.raises(InputError, match="delay"):
        Policy(0.5, 1.0, 0.5)
    with pytest.raises(InputError, match="silence"):
        SilenceTurnDetector(0)
