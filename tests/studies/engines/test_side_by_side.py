"""Engines side by side and F5-TTS's steps: figures and words from studies as if they had run."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.measure import studies
from workbench.cli import main
from workbench.engines.speech import Speech
from workbench.errors import InputError
from workbench.measure import record as records
from workbench.measure.study import CONTROL
from workbench.quality.wer import WordErrorRate
from workbench.studies.engines import f5, side_by_side
from workbench.studies.engines.side_by_side import (
    EngineStudy,
    _words,
    compare_engines,
    installation_rows,
)

TEXTS = ("good morning sarah", "the red house")


class Deaf:
    """A recognizer that hears what it is told."""

    def __init__(self, heard):
        self.recognizer = self
        self._heard = heard

    def unknown_words(self, text):
        return [word for word in text.split() if word == "zyx"]

    def of(self, clips):
        return [self._heard] * len(clips)


def speech(text=TEXTS[0], weights="abc", level=0.1, seed=0):
    samples = level * np.random.default_rng(seed).standard_normal(8_000).astype(np.float32)
    codes = np.zeros((0, 13), np.int64)
    return Speech(
        samples, 8_000, text, 0, seed, codes, "eos", 500.0, (100.0,), (8_000,), "frame", weights
    )


def measured(factors, **changes):
    """A study with the metrics of engines."""
    study = studies.made(factors, rounds=12, **changes)
    for result in study.results.values():
        times = np.array(result.samples["frame_ms"])
        more = {
            "ttfa_ms": times * 2, "generation_ms": times * 10, "largest_gap_ms": times,
            "peak_rss_bytes": times * 2**20,
        }  # fmt: skip
        result.samples.update({name: tuple(values) for name, values in more.items()})
        result.about.update({"implementation": "x 1", "threads": 1})
    return study


@pytest.fixture
def result():
    study = measured({"quick": 0.5, "torn": 1.0}, failed=("torn",))
    study.results["quick"].about["weights"] = "random"
    clips = {"quick": [speech(weights="random")], "baseline": [speech()], "torn": []}
    rate = WordErrorRate(0.25, (0.0, 0.5), 1, 4, 2)
    return EngineStudy(
        study, TEXTS, clips, {"baseline": rate, "quick": "noise"}, {"piper": "not installed: do x"}
    )


def test_each_engine_has_a_row_with_its_figures(result):
    first, second = result.rows()
    assert (first["engine"], second["engine"]) == ("baseline", "quick")
    assert first["word error rate"] == "0.25"
    assert second["word error rate"] == "noise"
    assert first["first audio (ms)"].value == pytest.approx(200, rel=0.1)
    ran = result.what_ran()
    assert [row["weights"] for row in ran] == ["abc", "random"]
    assert (ran[0]["loading (s)"], ran[0]["warming up (s)"]) == (1.5, 0.5)
    times = result.samples_of("baseline", "generation_ms")
    speeds = result.samples_of("baseline", "chars_per_s")
    assert speeds[0] == pytest.approx(1000 * len(TEXTS[0]) / times[0])
    assert speeds[3] == pytest.approx(1000 * len(TEXTS[1]) / times[3])


def test_the_verdict_says_who_is_first_and_who_is_missing(result):
    words = result.verdict
    assert words.startswith("quick is heard first: ")
    assert "Random weights, so noise: quick; their times hold." in words
    small = replace(result, size="small").verdict
    assert "Small networks of random weights, so noise: quick; their times say nothing." in small
    assert "torn failed: signal SIGKILL" in words
    assert "Not installed here: piper" in words
    assert list(result.labels) == [
        f"{name}: first audio 100 ms, RTF 0.50" for name in ("baseline", "quick")
    ]
    assert {name for name, _, _ in result.samples()} >= {"quick/ttfa_ms", "baseline/rtf"}


def test_engines_that_are_alike_are_not_ranked():
    study = measured({"same": 1.0})
    result = EngineStudy(study, TEXTS, {}, {})
    assert "can't be told apart" in result.finding
    alone = EngineStudy(studies.made({}, rounds=12), TEXTS, {}, {})
    assert CONTROL not in alone.names


def test_word_errors_only_where_they_mean_something():
    assert _words([speech(weights="random")], Deaf("")) == "noise"
    assert _words([speech("zyx")], Deaf("")) == "unknown word zyx"
    assert _words([speech()], Deaf("good morning sam")).errors == 1


def test_without_any_engine_the_commands_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"f5: not installed: workbench engines install f5"):
        compare_engines(["f5"], ["short"])
    rows = installation_rows(["csm-nano", "piper:a.onnx", "piper:b.onnx", "f5"])
    assert [row["engine"] for row in rows] == ["piper", "f5"]
    assert rows[0]["to install"] == "workbench engines install piper"
    assert f5.compare_f5("f5", [4], ["float32"]) is None
    assert "workbench engines install f5" in f5.conclusion(None)


def test_the_command_passes_settings_on_and_writes_a_record(result, tmp_path, monkeypatch, capsys):
    asked = {}

    def compared(engines, sentences, **more):
        asked.update(engines=engines, sentences=sentences, **more)
        return result

    monkeypatch.setattr(side_by_side, "compare_engines", compared)
    command = ["bench", "engines", "--engines", "csm-nano,f5", "--sentences", "short"]
    given = ["--set", "f5.nfe_step=7", "--set", "f5.language=es", "--out", str(tmp_path)]
    assert main([*command, *given, "--json"]) == 1  # one engine failed
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (asked["engines"], asked["sentences"]) == (("csm-nano", "f5"), ("short",))
    assert asked["settings"] == {"f5": {"nfe_step": 7, "language": "es"}}
    assert told["failed"] == {"torn": "signal SIGKILL"}
    kept = records.read(told["record"])
    assert kept.metric("quick/ttfa_ms").samples == tuple(result.samples_of("quick", "ttfa_ms"))
    assert kept.details["left_out"] == {"piper": "not installed: do x"}
    assert main([*command, *given]) == 1
    assert "piper        left out: not installed: do x" in capsys.readouterr().out
    assert main([*command, "--set", "nfe_step=7", "--json"]) == 2
    assert "ENGINE.KEY=VALUE" in json.loads(capsys.readouterr().out.splitlines()[-1])["remedy"]


def test_f5_s_arms_are_held_to_the_first():
    study = measured({"7 steps": 0.5})
    clips = {
        name: [speech(level=level), speech(level=level, seed=1)]
        for name, level in (("baseline", 0.1), ("7 steps", 0.05))
    }
    result = f5.F5Study(study, TEXTS, clips)
    first, second = result.rows()
    assert first["log-mel distance (dB)"] == 0
    assert second["log-mel distance (dB)"] == pytest.approx(6.02, abs=0.3)
    assert first["times as fast"] is None
    assert second["times as fast"].value == pytest.approx(2, rel=0.1)
    assert result.finding.startswith("7 steps is ")
    assert "as fast as baseline" in result.finding
    slower = f5.F5Study(measured({"7 steps": 2.0}), TEXTS, clips)
    assert slower.finding == "No arm can be told from baseline"


def test_schedules_say_where_steps_lie():
    found = f5.schedules([16, 7, 3])
    assert list(found) == [
        "16 steps, evenly", "16 steps, pruned and swayed", "7 steps, pruned and swayed",
        "3 steps, swayed",
    ]  # fmt: skip
    assert [len(times) for times in found.values()] == [17, 17, 8, 4]
    with pytest.raises(InputError, match="no steps"):
        f5.compare_f5("f5", [], ["float32"])
