"""Studies and their records: derived verdicts, files that are whole, and what a tear is called."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.measure.studies import MACHINE, made
from workbench.errors import InputError, OutputError, RecordError
from workbench.measure import record as records
from workbench.measure.study import CONTROL
from workbench.measure.study_record import STUDY_FILE, read_arm, read_study, write_study
from workbench.measure.verdict import Verdict


def test_verdict_per_arm_and_metric():
    study = made({"fast": 0.8, "slow": 1.2})
    assert study.judgement("fast").verdict is Verdict.FASTER
    assert study.judgement("slow").verdict is Verdict.SLOWER
    assert study.judgement(CONTROL).verdict in (Verdict.SAME, Verdict.AMBIGUOUS)
    assert study.judgement("fast", "rtf").ratio.value == pytest.approx(1.25, rel=0.02)
    assert study.baseline.interval("frame_ms").value == pytest.approx(100, rel=0.02)
    assert "fast: FASTER" in study.verdict


def test_disturbed_study_gives_no_verdict_but_keeps_the_ratio():
    study = made(others_s=40.0)
    judgement = study.judgement("fast")
    assert judgement.verdict is Verdict.DISTURBED
    assert "other processes took 40%" in judgement.reason
    assert judgement.ratio.value == pytest.approx(1.25, rel=0.02)
    assert study.verdict.startswith("no verdict: other processes")


def test_baseline_that_differs_from_itself_takes_all_verdicts():
    study = made({CONTROL: 1.1, "fast": 0.8})
    assert "the baseline differs from itself: SLOWER" in study.disturbed[0]
    assert study.judgement("fast").verdict is Verdict.DISTURBED


def test_gpu_that_was_busy_before():
    gpu = {"index": 3, "torch_index": 0, "busy_percent": 60}
    study = made(environment_before={**MACHINE, "gpus": [gpu]})
    assert study.disturbed == ()  # its arms ran on the CPU
    results = {
        name: replace(result, about={"device": "cuda:0"}) for name, result in study.results.items()
    }
    assert replace(study, results=results).disturbed == (
        "GPU 3 was 60 % busy before the study began",
    )


def test_written_study_reads_back_equal(tmp_path):
    study = made({"fast": 0.8, "bad": 1.0}, failed=["bad"])
    path = write_study(tmp_path / "out", study)
    files = sorted(str(p.relative_to(path.parent)) for p in path.parent.rglob("*.json"))
    assert files == [
        "arms/a-a-control.record.json",
        "arms/bad.record.json",
        "arms/baseline.record.json",
        "arms/fast.record.json",
        "study.record.json",
    ]
    for given in (path, path.parent):
        read = read_study(given)
        assert read == study
        assert read.judgement("fast") == study.judgement("fast")
        assert read.judgement("bad").reason == "WorkerDied: signal SIGKILL"
    result, record = read_arm(path.parent / "arms" / "bad.record.json")
    assert record.status == "failed"
    assert result.error.message == "signal SIGKILL"
    fast = records.read(path.parent / "arms" / "fast.record.json")
    assert fast.metric("frame_ms").unit == "ms"
    assert fast.verdict.startswith("FASTER, 1.2")


def test_study_without_its_baseline_is_written_as_failed(tmp_path):
    path = write_study(tmp_path, made(failed=["baseline"]))
    assert records.read(path).status == "failed"
    assert "baseline failed" in read_study(tmp_path).failed


def test_arms_of_one_slug_have_a_file_each(tmp_path):
    study = made({"a b": 0.9, "a/b": 0.8, "..": 1.0})
    write_study(tmp_path, study)
    assert read_study(tmp_path) == study
    assert len(list((tmp_path / "arms").iterdir())) == 5


def test_full_disk_costs_only_what_didn_t_fit(tmp_path, monkeypatch):
    study = made({"fast": 0.8, "slow": 1.2})
    whole = Path.write_text

    def no_space(path, text, **options):
        if ".fast" in path.name:
            whole(path, text[:100], **options)
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(path, text, **options)

    monkeypatch.setattr(Path, "write_text", no_space)
    with pytest.raises(OutputError, match=r"1 of 5 records .*fast.*No space left") as caught:
        write_study(tmp_path, study)
    assert "write the study again" in caught.value.remedy
    left = sorted(p.name for p in (tmp_path / "arms").iterdir())
    assert left == [f"{name}.record.json" for name in ("a-a-control", "baseline", "slow")]
    assert read_arm(tmp_path / "arms" / "slow.record.json")[0] == study.results["slow"]
    with pytest.raises(RecordError, match=r"no record at fast.record.json"):
        read_study(tmp_path)
    monkeypatch.undo()
    write_study(tmp_path, study)
    assert read_study(tmp_path) == study


def _without(key):
    return lambda record: record["details"].pop(key)


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        (STUDY_FILE, _without("orders"), "lacks 'orders'"),
        (STUDY_FILE, lambda r: r.update(schema_version=9), "schema version 9"),
        (STUDY_FILE, lambda r: r.update(kind="notebook"), "record of a notebook"),
        (STUDY_FILE, lambda r: r["parameters"]["plan"].update(trials=0), "0 trials"),
        (STUDY_FILE, lambda r: r["parameters"]["plan"].update(odd=1), "odd"),
        (STUDY_FILE, lambda r: r["details"].update(orders=[["fast"]]), "doesn't belong"),
        (STUDY_FILE, lambda r: r["details"].update(arms=[]), "no arms"),
        (STUDY_FILE, lambda r: r.update(schema_version=2), "schema version 2, .* reads 3"),
        ("arms/fast.record.json", _without("rounds"), "'fast' lacks 'rounds'"),
        ("arms/fast.record.json", _without("start_of"), "'fast' lacks 'start_of'"),
        ("arms/fast.record.json", lambda r: r["details"]["start_of"].pop(), "without the start"),
        ("arms/fast.record.json", lambda r: r["details"]["starts"].pop(), "without the start"),
        (
            "arms/fast.record.json",
            lambda r: r["metrics"][0]["samples"].pop(),
            "59 samples of 'frame_ms' for 60 rounds",
        ),
        ("arms/fast.record.json", lambda r: r.update(name="slow"), "that of the arm 'slow'"),
        ("arms/fast.record.json", lambda r: r["details"]["rounds"].reverse(), None),
        (
            "arms/fast.record.json",
            lambda r: r["details"]["rounds"].__setitem__(0, 1),
            "has a round twice",
        ),
    ],
)
def test_changed_record_is_refused(tmp_path, file, change, said):
    write_study(tmp_path, made())
    record = json.loads((tmp_path / file).read_text())
    change(record)
    (tmp_path / file).write_text(json.dumps(record))
    if said is None:
        read_study(tmp_path)
        return
    with pytest.raises(RecordError, match=said):
        read_study(tmp_path)


def test_torn_record_is_refused(tmp_path):
    write_study(tmp_path, made())
    path = tmp_path / "arms" / "fast.record.json"
    path.write_text(path.read_text()[:500])
    with pytest.raises(RecordError, match=r"fast.record.json is not JSON"):
        read_study(tmp_path)
    with pytest.raises(RecordError, match="no record at"):
        read_study(tmp_path / "nowhere")


def test_rung_against_rung():
    study = made({"one": 0.8, "two": 0.4})
    assert study.judgement("two", against="one").ratio.value == pytest.approx(2, rel=0.02)
    assert study.judgement("one", against="two").verdict is Verdict.SLOWER
    assert study.pairs("one", against="one").baseline == study.pairs("one", against="one").other
    assert study.judgement("two").ratio == study.judgement("two", against="baseline").ratio
    with pytest.raises(InputError, match="no arm 'three'"):
        study.judgement("two", against="three")
    failed = made({"one": 0.8, "two": 0.4}, failed=["one"])
    assert failed.judgement("two", against="one").verdict is Verdict.FAILED
    assert failed.judgement("two").verdict is Verdict.FASTER


def test_samples_know_their_start():
    study = made()
    assert [len(part) for part in study.result("fast").parts("frame_ms")] == [10] * 6
    assert study.pairs("fast").starts[9:11] == [(0, 0), (1, 1)]
