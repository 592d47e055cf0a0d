"""The study of turn detectors: what it says of them, its notebook's figures, its command."""

import json

import pytest

from tests.turn_sounds import LevelVad, WordJudge, say
from workbench.cli import main
from workbench.errors import InputError
from workbench.measure.record import read
from workbench.measure.statistics import Interval
from workbench.studies.claims.records import from_record
from workbench.studies.turns import study as turn_study
from workbench.studies.turns.clips import held_out_texts, make_turns
from workbench.studies.turns.study import heard_live, spoken_turns, study_turns

TEXTS = tuple(f"where{n} is{n} the{n} big{n} market{n}" for n in range(16))


@pytest.fixture(scope="module")
def turns():
    return make_turns(TEXTS, say, pauses=(1, 2), seed=5)


@pytest.fixture(autouse=True)
def level_vad(monkeypatch):
    monkeypatch.setattr(turn_study, "load_vad", lambda name: LevelVad())


@pytest.fixture
def judge():
    return WordJudge(TEXTS, fooled=["the0", "is1"])


def test_words_wait_less_and_the_verdict_says_so(turns, judge):
    study = study_turns(turns, ["silero"], judge, budgets=(0.1, 0.3))
    assert set(study.curves) == {"silence alone", "words alone", "words and silence"}
    assert study.ratios[0.1].high < 1
    assert "words and silence wait 0." in study.finding
    assert study.finding in study.verdict
    assert 0 < study.saved.value <= study.saved.high <= 1
    rows = study.rows()
    assert [row["false cut-offs at most"] for row in rows] == ["10%", "30%"]
    for row in rows:
        assert row["words and silence (s)"].value < row["silence alone (s)"].value
        assert isinstance(row["words and silence / silence"], Interval)
    assert len(study.judge_ms) == study.hesitations + len(TEXTS)
    taken = {name: values for name, values, _ in study.samples_taken()}
    assert len(taken["silence/ends"]) == len(TEXTS)
    assert min(taken["probability/ends"]) > 0.5


def test_without_a_judge_silence_alone_decides(turns):
    study = study_turns(turns, ["silero", "webrtc"])
    assert set(study.curves) == {"silence alone"}
    assert study.ratios == {}
    assert study.saved is None
    assert "fixed wait of 0.7 s" in study.verdict
    assert [row["detector"] for row in study.detector_rows()] == ["silero", "webrtc"]
    assert list(study.rows()[0]) == ["false cut-offs at most", "silence alone (s)"]
    assert list(study.detectors(None)) == ["0.7 s of silence"]


def test_a_turn_heard_live_ends_where_the_curve_says(turns, judge):
    study = study_turns(turns, ["silero"], judge)
    detectors = study.detectors(judge, budget=0.3)
    live = heard_live(turns[3], "silero", detectors)
    ends = {name: found[-1].at_s - turns[3].ends_s[-1] for name, found in live.ends.items()}
    assert ends["0.7 s of silence"] == pytest.approx(0.7, abs=0.05)
    assert 0 < ends["words and silence"] < 0.7
    assert live.ends["words and silence"][-1].transcript == turns[3].text


def test_what_cannot_be_asked(turns):
    with pytest.raises(InputError, match="no voice-activity detector"):
        study_turns(turns, [])
    with pytest.raises(InputError, match="201 turns"):
        spoken_turns(None, 201)


def test_held_out_sentences_are_what_is_spoken():
    class Voice:
        said: list = []  # noqa: RUF012 - one test's

        def synthesize(self, text, voice, seed):
            self.said.append((text, voice, seed))
            return say(text)

    voice = Voice()
    clips = spoken_turns(voice, 3, pauses=(0, 1), voice=2, seed=4)
    assert tuple(clip.text for clip in clips) == held_out_texts()[:3]
    assert {said[1:] for said in voice.said} == {(2, 4)}


def test_the_command_tells_the_same(turns, judge, tmp_path, monkeypatch, capsys):
    from workbench.cli import bench_turns

    monkeypatch.setattr("workbench.load", lambda name: None)
    monkeypatch.setattr(bench_turns, "spoken_turns", lambda *_, **__: turns)
    monkeypatch.setattr(bench_turns, "models_called", lambda *_: (judge, None, "true words"))
    out = tmp_path / "turns"
    assert main(["bench", "turns", "--budgets", "0.2", "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["turns"] == len(TEXTS)
    assert said["budgets"][0]["words and silence / silence"]["value"] < 1
    record = read(out / "turns.record.json")
    assert record.details["silences"]["judge"] == "words"
    assert record.parameters["budgets"] == "0.2"
    gain = from_record(record)["turn_gain"]
    assert gain.value == pytest.approx(gain.before * (1 - said["saved"]["value"]))
    assert main(["bench", "turns", "--budgets", "0.2"]) == 0
    assert "words and silence" in capsys.readouterr().out
    assert main(["bench", "turns", "--budgets", "20", "--json"]) == 2
    assert main(["bench", "turns", "--budgets", "a", "--json"]) == 2
