"""`workbench compare`."""

import json

from tests.measure.studies import OTHER_MACHINE, made
from workbench.cli import main
from workbench.measure.study_record import write_study


def test_two_studies(tmp_path, capsys):
    write_study(tmp_path / "a", made())
    write_study(tmp_path / "b", made({"fast": 0.5}, seed=1, environment_before=OTHER_MACHINE))
    folders = [str(tmp_path / name) for name in "ab"]
    assert main(["compare", *folders, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [change["arm"] for change in summary["changes"]] == ["A/A control", "fast"]
    assert summary["changes"][1]["verdict"] == "FASTER"
    assert summary["changes"][1]["ratio"]["low"] > 1.4
    assert main(["compare", *folders]) == 0
    said = capsys.readouterr().out
    assert "B: Zeta 2, 2 cores" in said
    assert "fast: FASTER, 1.6" in said


def test_what_can_t_be_compared(tmp_path, capsys):
    write_study(tmp_path / "a", made())
    write_study(tmp_path / "b", made(environment_before=OTHER_MACHINE))
    fast = [str(tmp_path / name / "arms" / "fast.record.json") for name in "ab"]
    assert main(["compare", *fast, "--json"]) == 2
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "without a common baseline" in summary["error"]
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "nowhere")]) == 5
    assert "error: no record at" in capsys.readouterr().err
