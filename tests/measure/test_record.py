import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from workbench.errors import OutputError, RecordError
from workbench.measure import record as records
from workbench.measure.record import Artifact, Deliverable, Failure, Metric, Record

SOUND = Record(
    kind="notebook",
    name="10_baseline",
    title="Where the time goes",
    status="ok",
    verdict="The depth decoder takes 71 %.",
    started_utc="2026-01-02T03:04:05+00:00",
    duration_s=12.5,
    parameters={"engine": "csm-nano", "texts": ["good morning"], "seed": None},
    environment_before={"cpu": {"model": "a CPU"}},
    metrics=(Metric("ttfa", "ms", (80.0, 81.5)),),
    artifacts=(Artifact("figure", "stages", "10_baseline_files/stages.png", "Five bars."),),
    deliverables=(Deliverable("four sentences", True),),
)


def plain(**changes):
    return json.loads(json.dumps(asdict(SOUND))) | changes


def test_written_record_reads_back_equal(tmp_path):
    path = records.write(tmp_path / "a.record.json", SOUND)
    assert records.read(path) == SOUND
    assert json.loads(path.read_text())["schema_version"] == records.SCHEMA_VERSION
    assert SOUND.metric("ttfa").samples == (80.0, 81.5)
    with pytest.raises(RecordError, match="it has: ttfa"):
        SOUND.metric("rtf")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema_version": 1}, "schema version 1"),
        ({"extra": 1}, "unknown entries: extra"),
        ({"duration_s": "12"}, "duration_s must be a finite number, got '12'"),
        ({"duration_s": float("nan")}, "duration_s must be a finite number"),
        ({"duration_s": -1.0}, "negative"),
        ({"status": "completed"}, "must be 'ok' or 'failed'"),
        ({"title": None}, "title must be a str"),
        ({"verdict": " "}, "no verdict"),
        ({"started_utc": "yesterday"}, "no UTC time"),
        ({"started_utc": "2026-01-02T03:04:05+02:00"}, "no UTC time"),
        ({"parameters": {"x": float("inf")}}, "parameters: x must be a finite number"),
        ({"metrics": [{"name": "a", "unit": "ms", "samples": [1, True]}]}, r"samples\[1\]"),
        ({"metrics": [{"name": "a", "unit": "ms"}]}, "lacks entries: samples"),
        ({"metrics": [{"name": "a", "unit": "", "samples": []}] * 2}, "names twice: a"),
        ({"deliverables": [{"name": "a clip", "ok": False}]}, "is ok but lacks a clip"),
        ({"error": {"type": "E", "message": "m", "traceback": ""}}, "is ok but has an error"),
        ({"parameters": {"voice": str(Path.home() / "v.wav")}}, "folder of this machine"),
    ],
)
def test_unsound_record_is_refused(tmp_path, changes, said):
    path = tmp_path / "a.record.json"
    path.write_text(json.dumps(plain(**changes)))
    with pytest.raises(RecordError, match=said):
        records.read(path)


def test_missing_entry_is_refused(tmp_path):
    value = plain()
    del value["environment_after"]
    (tmp_path / "a.record.json").write_text(json.dumps(value))
    with pytest.raises(RecordError, match="lacks entries: environment_after"):
        records.read(tmp_path / "a.record.json")


@pytest.mark.parametrize(
    "path", ["/etc/a.png", "../a.png", "a/../../b.png", "C:\\a.png", "file:a", "~/a.png", ""]
)
def test_artifacts_lie_below_the_record(tmp_path, path):
    artifact = Artifact("figure", "stages", path, "Five bars.")
    with pytest.raises(RecordError, match="below the record's folder"):
        records.write(tmp_path / "a.record.json", replace(SOUND, artifacts=(artifact,)))
    assert list(tmp_path.iterdir()) == []


def test_artifact_without_alt_text_is_refused(tmp_path):
    artifact = Artifact("figure", "stages", "a.png", " ")
    with pytest.raises(RecordError, match="no alt text"):
        records.write(tmp_path / "a.record.json", replace(SOUND, artifacts=(artifact,)))


def test_machines_folders_are_taken_out_on_writing(tmp_path):
    home = str(Path.home())
    failure = Failure("OSError", f"no {home}/models/x, \x1b[32m{home}/y", "")
    record = replace(SOUND, status="failed", error=failure, parameters={"at": f"{home}-else"})
    read = records.read(records.write(tmp_path / "a.record.json", record))
    assert read.error.message == "no ~/models/x, \x1b[32m~/y"
    assert read.parameters == {"at": f"{home}-else"}


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"schema_version": 1}'])
def test_torn_file_is_refused(tmp_path, content):
    (tmp_path / "a.record.json").write_text(content)
    with pytest.raises(RecordError):
        records.read(tmp_path / "a.record.json")
    with pytest.raises(RecordError, match="no record at"):
        records.read(tmp_path / "other.record.json")


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        records.write(tmp_path / "file" / "a.record.json", SOUND)
