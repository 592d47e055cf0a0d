from tests.cloning.test_references import Ear
from workbench.studies.cloning.reference_faults import (
    fault_table,
    faulty_recordings,
    good_recording,
    verdicts,
)

EXPECTED = {
    "no fault": "ok",
    "silence": "refused",
    "noise only": "refused",
    "noise under speech": "refused",
    "0.2 s": "refused",
    "very long": "usable",
    "8 kHz": "usable",
    "stereo of opposite phases": "usable",
    "clipped": "refused",
    "wrong transcript": "refused",
    "corrupt file": "refused",
}


def test_every_fault_is_found(tmp_path):
    good = good_recording()
    rows = verdicts(faulty_recordings(tmp_path, good, long_s=600), Ear(good.text))
    assert {row["recording"]: row["verdict"] for row in rows} == EXPECTED
    assert all(row["what"] and row["remedy"] for row in rows)
    said = {row["recording"]: row["what"] for row in rows}
    assert said["silence"] == "it is silent"
    assert said["0.2 s"] == "it is 0.2 s long"
    assert str(tmp_path) not in said["corrupt file"]


def test_nothing_of_it_is_left(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rows = fault_table(good_recording(1), Ear(good_recording(1).text), long_s=60)
    assert len(rows) == len(EXPECTED)
    assert list(tmp_path.iterdir()) == []
