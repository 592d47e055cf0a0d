"""What two studies allow to compare."""

from dataclasses import replace

import pytest

from tests.measure.studies import MACHINE, OTHER_MACHINE, made
from workbench.errors import InputError, RecordError
from workbench.measure.comparison import compare, compare_studies
from workbench.measure.study_record import write_study
from workbench.measure.verdict import Verdict


def with_baseline(name, study):
    first, *rest = study.results.values()
    results = [replace(first, arm=replace(first.arm, name=name)), *rest]
    return replace(study, results={result.arm.name: result for result in results})


def written(folder, study):
    write_study(folder, study)
    return folder


def test_different_machines_are_compared_by_ratio(tmp_path):
    here = made({"fast": 0.8, "only here": 1.0})
    there = made({"fast": 0.5}, seed=1, scale=7.0, environment_before=OTHER_MACHINE)
    found = compare(written(tmp_path / "a", here), written(tmp_path / "b", there))
    assert found.machines == ("Zeta 1, 2 cores", "Zeta 2, 2 cores")
    assert found.only_in == (("only here",), ())
    change = found.changes[-1]
    assert (change.arm, change.by) == ("fast", "ratio")
    assert change.judgement.verdict is Verdict.FASTER
    assert change.judgement.ratio.value == pytest.approx(1.6, rel=0.03)
    assert change.judgement.ratio.low < 1.6 < change.judgement.ratio.high


def test_different_machines_need_a_common_baseline():
    here = made()
    other = with_baseline("another", made(environment_before=OTHER_MACHINE))
    with pytest.raises(InputError, match="Zeta 1, .* Zeta 2, .* without a common baseline"):
        compare_studies(here, other)
    found = compare_studies(here, replace(other, environment_before=MACHINE))
    assert {change.by for change in found.changes} == {"time"}


def test_same_machine_later_with_other_software():
    later = {**MACHINE, "libraries": {"torch": "2.12"}}
    found = compare_studies(made(), made(seed=3, environment_before=later))
    assert found.software == ("torch: 2.11 → 2.12",)
    assert not found.changes[-1].judgement.verdict.differs


def test_arm_records_need_one_machine(tmp_path):
    a = written(tmp_path / "a", made())
    b = written(tmp_path / "b", made({"fast": 0.6}, seed=1))
    c = written(tmp_path / "c", made(environment_before=OTHER_MACHINE))
    d = written(tmp_path / "d", made(others_s=50.0))
    fast = "arms/fast.record.json"
    (change,) = compare(a / fast, b / fast).changes
    assert (change.arm, change.by) == ("fast", "time")
    assert change.judgement.verdict is Verdict.FASTER
    assert change.judgement.ratio.value == pytest.approx(0.8 / 0.6, rel=0.03)
    with pytest.raises(InputError, match="without a common baseline"):
        compare(a / fast, c / fast)
    (change,) = compare(a / fast, d / fast).changes
    assert change.judgement.verdict is Verdict.DISTURBED
    with pytest.raises(RecordError, match="record of an arm"):
        compare(a, b / fast)


def test_what_failed_or_was_disturbed_is_not_compared():
    (_, change) = compare_studies(made(), made(failed=["fast"])).changes
    assert change.judgement.verdict is Verdict.FAILED
    (_, change) = compare_studies(made(), made(others_s=50.0)).changes
    assert change.judgement.verdict is Verdict.DISTURBED


def test_nothing_in_common():
    with pytest.raises(InputError, match="one study measured frame_ms, the other rtf"):
        compare_studies(made(), made(metric="rtf"))
    few = compare_studies(made(rounds=5), made(rounds=5)).changes[-1].judgement
    assert few.verdict is Verdict.AMBIGUOUS
    assert "needs 10 in 2 of each" in few.reason


def test_record_without_a_machine():
    later = with_baseline("another", made(environment_before={}))
    with pytest.raises(RecordError, match="on what machine"):
        compare_studies(made(), later)
