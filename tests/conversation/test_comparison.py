"""Serial against overlapped in turns: pairs, percentiles, FERN's table, and words for it."""

import json

import numpy as np
import pytest

from workbench.conversation.comparison import OVERLAPPED, SAME_WAIT, compare_modes, usual_ways
from workbench.conversation.figures import TurnFigures
from workbench.conversation.scripted import (
    ScriptedRecognition,
    ScriptedSynthesis,
    scripted_stages,
    spoken,
)
from workbench.conversation.targets import FIELDS, TARGETS, percentile_interval, reached
from workbench.conversation.waterfall import LANES, as_text, spans_of
from workbench.errors import InputError

QUESTIONS = {"three words": spoken([3]), "five words": spoken([5])}


@pytest.fixture(scope="module")
def compared():
    stages = scripted_stages()
    ways = usual_ways(stages.turn, scripted_stages(silence_s=0.25).turn)
    return compare_modes(stages, QUESTIONS, ways, rounds=3, simulated=True)


def test_ratios_are_those_of_the_scripted_times(compared):
    assert compared.seen == (0, 1, 2)
    serial = compared.by_round("serial")
    same, sooner = compared.by_round(SAME_WAIT), compared.by_round(OVERLAPPED)
    assert compared.ratio(SAME_WAIT).value == pytest.approx(serial[0] / same[0])
    assert compared.ratio(OVERLAPPED).value == pytest.approx(serial[0] / sooner[0])
    assert serial[0] > same[0] > sooner[0]
    assert "sooner" in compared.finding
    assert "700 ms wait" in compared.verdict
    assert "250 ms wait" in compared.verdict
    assert "n = 3" in compared.caption
    assert compared.failures == []


def test_rows_put_ferns_targets_beside_the_measured(compared):
    rows = compared.rows()
    assert list(dict.fromkeys(row["metric (ms)"] for row in rows)) == list(TARGETS) == list(FIELDS)
    serial, _, ours = (row for row in rows if row["metric (ms)"] == "first audio")
    assert (serial["FERN now"], serial["long term"]) == (600, 100)
    assert (serial["way"], ours["way"]) == ("serial", "overlapped")
    assert serial["p50"].value > ours["p50"].value
    assert serial["p50"].n == 6
    assert (serial["reaches"], ours["reaches"]) == ("none", "FERN now")
    named = {name for name, values, unit in compared.samples() if values and unit}
    assert {"first audio/serial", "turn/overlapped", "warm-up"} <= named


def test_clips_let_one_hear_the_wait(compared):
    labels = compared.labels
    assert len(labels) == 3
    serial, *_, overlapped = (clip.duration_s for clip in labels.values())
    assert serial > overlapped
    # one hears the answer as long after the question as the figures say
    for talked in compared.typical.values():
        asked_until = talked.offset_s + talked.question.duration_s
        heard = np.flatnonzero(talked.answer.samples)[0] / talked.answer.rate_hz
        assert heard - asked_until == pytest.approx(talked.first.first_audio_ms / 1000, abs=2e-3)
    made = compared.typical["serial"]
    assert json.dumps(made.to_dict(), allow_nan=False)
    assert made.to_dict()["first_audio_ms"] == pytest.approx(made.first.first_audio_ms, abs=1e-3)


def test_rounds_without_an_answer_do_not_count():
    mute = scripted_stages(recognizer=ScriptedRecognition(words=lambda count: ""))
    ways = usual_ways(mute.turn, mute.turn)
    found = compare_modes(mute, QUESTIONS, ways, rounds=2, simulated=True)
    assert found.seen == ()
    with pytest.raises(InputError, match="0 of 2 rounds"):
        found.ratio(OVERLAPPED)
    with pytest.raises(InputError, match="1 rounds"):
        compare_modes(mute, QUESTIONS, ways, rounds=1, simulated=True)


def test_the_time_line_has_every_stage(compared):
    made = compared.typical["serial"]
    spans = spans_of(made.trace, 1)
    assert {span.lane for span in spans} == set(LANES)
    order = [next(s.start_ms for s in spans if s.lane == lane) for lane in LANES]
    assert order == sorted(order)
    (played,) = [span for span in spans if span.lane == "answer plays"]
    assert played.start_ms == pytest.approx(made.first.first_audio_ms)
    assert played.end_ms - played.start_ms == pytest.approx(1000 * 0.08 * 11)
    text = as_text(spans)
    assert len(text.splitlines()) == 1 + len(LANES)
    assert "turn over?" in text
    assert "0 to 700" in text
    assert as_text([]) == "nothing happened"


def test_given_up_work_is_told_apart():
    from workbench.conversation.talk import talk

    slow = ScriptedSynthesis(frame_s=0.2)
    made = talk(scripted_stages(synthesizer=slow), spoken([2, 2], pause_s=0.5), simulated=True)
    outcomes = {span.outcome for span in made.spans() if span.lane == "synthesizer"}
    assert outcomes == {"cancelled", "done"}
    assert "cancelled" in as_text(made.spans())


def test_targets_reached():
    assert reached("first audio", 90) == "long term"
    assert reached("first audio", 350) == "quick wins"
    assert reached("first audio", 601) == ""
    assert percentile_interval([1.0, 2.0, 3.0], 50).value == 2
    assert percentile_interval(list(range(101)), 95).value == 95
    figures = TurnFigures(1, "failed", "", "", 0, 0.0)
    assert not figures.answered_aloud
    assert figures.to_dict()["first_audio_ms"] is None
