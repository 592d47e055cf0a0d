"""A bench's record: raw samples, the machine before and after, read back as written."""

import pytest

from workbench.errors import InputError, RecordError
from workbench.measure.bench_record import begin
from workbench.measure.record import read
from workbench.measure.study_record import read_arm, read_study

SAMPLES = [("latency/int8", [1, 2.5], "ms"), ("wrong", [0.0], "")]


def test_a_bench_is_read_back_as_written(tmp_path):
    begun = begin("asr", {"engine": "base", "threads": None})
    path = begun.write(tmp_path / "new", "int8 is faster", SAMPLES, texts=["one", "two"])
    assert path == tmp_path / "new" / "asr.record.json"
    record = read(path)
    assert (record.kind, record.name, record.verdict) == ("bench", "asr", "int8 is faster")
    assert record.metric("latency/int8").samples == (1.0, 2.5)
    assert record.parameters == {"engine": "base", "threads": None}
    assert record.details == {"texts": ["one", "two"]}
    assert record.environment_before["cpu"]["model"] == begun.environment["cpu"]["model"]
    assert record.environment_after["load"]
    assert record.duration_s >= 0


def test_what_is_no_record_isn_t_written(tmp_path):
    begun = begin("asr", {})
    with pytest.raises(RecordError, match="finite"):
        begun.write(tmp_path, "it ran", [("latency", [float("nan")], "ms")])
    with pytest.raises(RecordError, match="verdict"):
        begun.write(tmp_path, "", SAMPLES)
    assert not list(tmp_path.iterdir())


def test_a_bench_is_no_study(tmp_path):
    path = begin("rvq", {}).write(tmp_path, "exact", SAMPLES)
    for reader in (read_study, read_arm):
        with pytest.raises((RecordError, InputError), match="the record of a bench"):
            reader(path)
