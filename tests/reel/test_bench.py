"""VoiceReel's table: what a row of it measures, and what is made of the figures."""

import json
from dataclasses import replace

import pytest

from tests.measure.studies import MACHINE
from workbench.cli import main
from workbench.errors import InputError
from workbench.measure import record as records
from workbench.measure.watch import Span
from workbench.reel import bench, parse_script
from workbench.reel.arm import ReelArm


def said(engine, **more):
    segments = [{"speaker": "a", "text": text} for text in ("hi", "yes", "a")]
    return parse_script({"engine": engine, "speakers": {"a": {}}, "segments": segments, **more})


def test_an_arm_speaks_the_whole_script(tiny_folder):
    script = said(str(tiny_folder)).model_dump(mode="json")
    arm, other = (ReelArm(script, {"batch_size": size, "device": "cpu"}) for size in (2, 1))
    arm.warm_up()
    other.warm_up()
    figures = arm.trial()
    assert figures["rtf"] == pytest.approx(figures["synthesis_s"] / figures["audio_s"])
    assert len(arm.last()) == 3
    assert figures["audio_s"] == pytest.approx(sum(t.speech.duration_s for t in arm.last()))
    assert other.trial()["audio_s"] == figures["audio_s"]  # trial by trial the same seeds
    assert (arm.about()["way"], other.about()["way"]) == ("stream pool", "one by one")
    assert arm.about()["processes"] == 1


def test_one_engine_at_a_time(tiny_folder):
    script = said(str(tiny_folder), speakers={"a": {}, "b": {"engine": "csm-1b"}})
    script = script.model_dump(mode="json")
    script["segments"][0]["speaker"] = "b"
    with pytest.raises(InputError, match="several engines"):
        ReelArm(script, {})


def test_the_configurations_are_voicereel_s(tiny_folder):
    known = bench.configurations("cpu")
    assert next(iter(known)) == bench.PLAIN
    assert known[bench.PLAIN]["optimized"] is False
    assert all(one["device"] == "cpu" for one in known.values())
    script = said(str(tiny_folder))
    with pytest.raises(InputError, match="turbo"):
        bench.bench_reel(script, only=("turbo",))
    with pytest.raises(InputError, match="1 trials"):
        bench.bench_reel(script, 1)


def table(others_s=0.0, **rtfs):
    samples = {
        name: [{"rtf": rtf, "synthesis_s": 30 * rtf, "audio_s": 30.0} for rtf in values]
        for name, values in {"plain": (0.2, 0.22, 0.21), **rtfs}.items()
    }
    about = {name: {"processes": 1, "batch_size": 4} for name in samples}
    return bench.Table(samples, about, (Span(0, 2, 100.0, others_s, 0.0),), MACHINE)


def test_rows_tell_time_speed_up_and_target():
    made = table(fast=(0.1, 0.11, 0.105), slow=(0.4, 0.44, 0.42), so_so=(0.2, 0.3, 0.28))
    rows = {row["configuration"]: row for row in made.rows()}
    assert rows["fast"]["times as fast"].value == pytest.approx(2)
    assert rows["slow"]["times as fast"].value == pytest.approx(0.5)
    assert rows["plain"]["times as fast"] is None
    assert rows["fast"]["synthesis (s)"].value == pytest.approx(3.15)
    target = [row["30 s in 8 s"] for row in rows.values()]
    assert target == ["met", "met", "missed", "met in some trials"]
    plain = {row["configuration"]: row for row in bench.csv_rows(made.rows())}
    assert plain["fast"]["RTF"] == pytest.approx(0.105)
    assert list(made.estimates) == list(made.samples)


def test_the_verdict_names_the_quickest_and_what_disturbed():
    made = table(fast=(0.1, 0.11, 0.105))
    assert made.verdict.startswith("30 s of audio in 3.1 s (fast), where 8 s are the target")
    assert "2.0 times as fast as plain" in made.verdict
    assert "busy" not in made.verdict + made.caption
    assert "Zeta 1" in made.caption
    busy = replace(made, spans=table(others_s=50.0).spans)
    assert "busy" in busy.verdict
    assert "50%" in busy.caption
    assert "times as fast" not in table().verdict


def test_the_command_writes_a_record_and_tells(tiny_folder, tmp_path, monkeypatch, capsys):
    asked = {}

    def measured(script, trials, **more):
        asked.update(script=script, trials=trials, **more)
        return table(fast=(0.1, 0.11, 0.105))

    monkeypatch.setattr(bench, "bench_reel", measured)
    command = ["bench", "reel", "--engine", str(tiny_folder), "--only", "fast", "--trials", "7"]
    assert main([*command, "--out", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (asked["script"].engine, asked["trials"]) == (str(tiny_folder), 7)
    assert asked["only"] == ("fast",)
    assert told["segments"] == 15
    assert told["configurations"][1]["times as fast"]["value"] == pytest.approx(2)
    kept = records.read(told["record"])
    assert list(kept.metric("fast/rtf").samples) == [0.1, 0.11, 0.105]
    assert kept.verdict == told["verdict"]
    assert main(command) == 0
    assert "fast" in capsys.readouterr().out
