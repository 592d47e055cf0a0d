"""Calibration: rates, simulated studies, and a file that goes on where it ended."""

import json

import numpy as np
import pytest

from tests.measure.noise import started_pair_ms
from tests.measure.studies import made
from workbench.cli import main
from workbench.errors import InputError, RecordError
from workbench.measure.plan import Plan
from workbench.measure.study import CONTROL
from workbench.measure.study_record import read_study
from workbench.measure.verdict import Verdict, judge
from workbench.studies import calibration as module
from workbench.studies.calibration import (
    FILE,
    SLOWED,
    Rate,
    Real,
    calibrate,
    simulate,
)


@pytest.fixture
def ran(monkeypatch):
    """Numbers of the real studies that would have run."""
    numbers = []

    def run(number, settings, plan, progress):
        numbers.append(number)
        return made({SLOWED: 1.2}, seed=number, rounds=plan.trials)

    monkeypatch.setattr(module, "_run", run)
    return numbers


def test_exact_intervals_of_rates():
    assert (Rate.of(0, 20).low, Rate.of(0, 20).high) == pytest.approx((0, 0.1684), abs=1e-4)
    assert Rate.of(20, 20).low == pytest.approx(0.8316, abs=1e-4)
    assert (Rate.of(0, 0).low, Rate.of(0, 0).high) == (0, 1)
    assert str(Rate.of(1, 20)) == "1 of 20 (0.1–24.9 %)"


def test_simulated_studies_keep_the_promise():
    cases = simulate(400, Plan(), 0.03)
    assert len(cases) == 15
    for case in cases:
        assert case.false_verdicts.low <= 0.05
        assert case.false_verdicts.count <= 0.05 * case.false_verdicts.n
        if case.noise <= 0.03 and case.process_spread <= 0.007:
            assert case.found.count >= 0.9 * case.found.n
    assert cases[0].same.count > cases[-1].same.count


def test_without_a_band_the_interval_alone_keeps_it():
    for case in simulate(2_000, Plan(threshold=0.0, precision=1.0), 0.03):
        assert case.false_verdicts.low <= 0.05


def test_simulated_verdicts_are_the_study_s_own():
    """The same samples, judged one by one and all together."""
    rng, plan = np.random.default_rng(4), Plan(trials=60)
    for factor in (1.0, 1.02, 0.97, 1.05):
        pairs = started_pair_ms("normal", plan.parts, rng, factor, 0.004)
        logs = [np.log(a) - np.log(b) for a, b in pairs.groups()]
        means = module.start_estimate(np.stack(logs))[None]
        verdicts, halves = module._verdicts(means, plan, early=False)
        judgement = judge(pairs, plan)
        assert verdicts[0] == judgement.verdict
        width = np.log(judgement.ratio.high / judgement.ratio.low)
        assert 2 * halves[0] == pytest.approx(width)


def test_real_studies_are_kept_and_gone_on_with(ran, tmp_path):
    plan = Plan(trials=20)
    first = calibrate(tmp_path, simulated=0, real=2, plan=plan)
    assert ran == [0, 1]
    assert first.real.found == Rate.of(2, 2)
    again = calibrate(tmp_path, simulated=10, real=3, plan=plan)
    assert ran == [0, 1, 2]
    assert again.real.studies[:2] == first.real.studies
    kept = json.loads((tmp_path / FILE).read_text())
    assert kept["schema_version"] == 1
    assert kept["real"]["found"]["count"] == 3
    assert len(kept["simulated"]) == 15
    assert (tmp_path / "study-002" / "study.record.json").is_file()
    with pytest.raises(InputError, match="other settings"):
        calibrate(tmp_path, simulated=0, real=2, plan=plan, slow_down=0.01)
    with pytest.raises(InputError, match="-1 real studies"):
        calibrate(tmp_path, real=-1)


def test_a_crash_loses_only_the_study_that_ran(ran, tmp_path, monkeypatch):
    run = module._run

    def crash(number, *rest):
        if number == 2:
            raise KeyboardInterrupt
        return run(number, *rest)

    monkeypatch.setattr(module, "_run", crash)
    plan = Plan(trials=20)
    with pytest.raises(KeyboardInterrupt):
        calibrate(tmp_path, simulated=0, real=4, plan=plan)
    monkeypatch.setattr(module, "_run", run)
    calibrate(tmp_path, simulated=0, real=3, plan=plan)
    assert ran == [0, 1, 2]


@pytest.mark.parametrize("text", ["{", "{}", '{"schema_version": 9, "settings": {}}'])
def test_a_torn_file_is_refused(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(RecordError, match=r"calibration\.json"):
        calibrate(tmp_path, simulated=0, real=1)


def test_disturbed_and_failed_studies():
    plan = Plan(trials=20)
    calm, loud = made({SLOWED: 1.2}, rounds=20), made({SLOWED: 1.2}, rounds=20, others_s=50.0)
    wrong = made({CONTROL: 1.1, SLOWED: 1.2}, rounds=20)
    real = Real(tuple(module._told(n, study) for n, study in enumerate((calm, loud, wrong))))
    assert (real.false_verdicts.count, real.false_verdicts.n) == (1, 2)
    assert (real.found.count, real.found.n) == (2, 2)
    assert real.studies[0].slowed == Verdict.SLOWER
    assert 0.01 < real.studies[0].noise < 0.04
    assert len(plan.parts) == 4
    with pytest.raises(InputError, match="'slowed' failed"):
        module._told(0, made({SLOWED: 1.2}, rounds=20, failed=[SLOWED]))


def test_command(ran, tmp_path, capsys):
    out = str(tmp_path)
    assert main(["calibrate", "--simulated", "20", "--real", "1", "--out", out, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["real"]["found"]["n"] == 1
    assert len(summary["simulated"]) == 15
    assert main(["calibrate", "--simulated", "20", "--real", "1", "--out", out]) == 0
    assert "real: false verdicts 0 of 1" in capsys.readouterr().out


@pytest.mark.slow
def test_a_real_study_on_the_tiny_engine(tiny_folder, tmp_path):
    found = calibrate(
        tmp_path, simulated=0, real=1, engine=str(tiny_folder), slow_down=1.0,
        plan=Plan(trials=10, starts=2),
    )  # fmt: skip
    (study,) = found.real.studies
    assert study.rounds == 10
    assert study.slowed != Verdict.FASTER
    slowed = read_study(tmp_path / "study-000").result(SLOWED)
    assert slowed.about["slow_down"] == 1.0
    assert slowed.start_of == (0,) * 5 + (1,) * 5
