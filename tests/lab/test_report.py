import json

import numpy as np
import pytest

from workbench import lab
from workbench.audio import Audio
from workbench.errors import InputError, RecordError
from workbench.measure import record as records


@pytest.fixture
def asked(tmp_path, monkeypatch):
    path = tmp_path / "10_demo.record.json"
    monkeypatch.setenv("WORKBENCH_RECORD", str(path))
    return path


def test_report_writes_what_the_notebook_did(asked, capsys):
    report = lab.begin("10_demo", "A demo", {"repeats": np.int64(3), "names": ("a", "b")})
    report.measure("ttfa", np.array([80, 81.5], np.float32), "ms")
    report.measure("load", 1.25, "s")
    drawn, axes = lab.figure("A line rises", "n = 2")
    axes[0].plot([0, 1], [0, 1])
    report.figure("line", drawn, "A line rises from 0 to 1.", show=False)
    report.clip("tone", Audio(np.zeros(240, np.float32), 24_000), "Silence of 10 ms")
    report.table("rows", [{"text": "a, b", "ms": 1.5}], "One row")
    report.deliverable("a clip", np.bool_(True))
    report.conclude("It works.")

    record = records.read(asked)
    assert (record.status, record.verdict, record.title) == ("ok", "It works.", "A demo")
    assert record.parameters == {"repeats": 3, "names": ["a", "b"]}
    assert record.metric("ttfa").samples == (80.0, 81.5)
    assert record.metric("load").samples == (1.25,)
    assert [artifact.path for artifact in record.artifacts] == [
        "10_demo_files/line.png",
        "10_demo_files/tone.flac",
        "10_demo_files/rows.csv",
    ]
    assert all((asked.parent / artifact.path).is_file() for artifact in record.artifacts)
    assert (asked.parent / "10_demo_files" / "rows.csv").read_text() == 'text,ms\n"a, b",1.5\n'
    assert record.environment_before["cpu"]
    assert record.environment_after["load"]
    assert capsys.readouterr().out == "It works.\nRecord: 10_demo.record.json\n"


def test_missing_deliverable_makes_the_record_failed(asked, capsys):
    report = lab.begin("10_demo")
    report.deliverable("a clip", False)
    report.conclude("Half of it works.")
    record = records.read(asked)
    assert record.status == "failed"
    assert record.missing == ["a clip"]
    assert "Missing: a clip." in capsys.readouterr().out


def test_what_a_record_can_not_hold_is_refused(asked):
    with pytest.raises(InputError, match="can't name a file"):
        lab.begin("../10_demo")
    report = lab.begin("10_demo")
    with pytest.raises(RecordError, match="no verdict"):
        report.conclude(" ")
    with pytest.raises(InputError, match="no rows"):
        report.table("rows", [], "none")
    with pytest.raises(InputError, match="no alt text"):
        report.clip("tone", Audio(np.zeros(240, np.float32), 24_000), "")
    report.measure("ttfa", [float("nan")], "ms")
    with pytest.raises(RecordError, match=r"samples\[0\] must be a finite number"):
        report.conclude("It works.")
    assert not asked.exists()


def test_interactive_records_go_to_outputs(tmp_path, monkeypatch):
    monkeypatch.delenv("WORKBENCH_RECORD", raising=False)
    monkeypatch.setattr(records, "outputs_dir", lambda: tmp_path / "outputs")
    lab.begin("10_demo").conclude("It works.")
    path = tmp_path / "outputs" / "interactive" / "10_demo" / "10_demo.record.json"
    assert json.loads(path.read_text())["verdict"] == "It works."
