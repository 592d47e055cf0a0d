"""What an ablation says: verdicts against the right arm, gains the right way round, words."""

import pytest

from tests.measure.studies import made
from workbench.errors import InputError
from workbench.measure.verdict import Verdict
from workbench.studies.ablation.designs import ArmPlan, Comparison, DesignPlan
from workbench.studies.ablation.result import Ablation
from workbench.studies.ablation.settings import AblationSettings


def ablation(arms, factors, left_out=None, *, studies=True, tmp_path=None, **changes):
    comparison = Comparison("one", "speech", "frame_ms", "baseline", (), tuple(arms))
    plan = DesignPlan((comparison,), left_out or {})
    found = {"one": made(factors, **changes)} if studies else {}
    return Ablation(AblationSettings(), plan, found, {}, tmp_path)


RUNGS = (
    ArmPlan("+ inference_mode", "inference_mode", ("inference_mode",), "baseline"),
    ArmPlan("+ frame_step", "frame_step", ("inference_mode", "frame_step"), "+ inference_mode"),
)


def test_a_rung_is_judged_against_the_rung_below_it():
    climbed = ablation(RUNGS, {"+ inference_mode": 0.5, "+ frame_step": 0.5})
    first, second = climbed.rows
    assert first.verdict is Verdict.FASTER
    assert first.ratio.value == pytest.approx(2, rel=0.03)
    assert second.verdict in (Verdict.SAME, Verdict.AMBIGUOUS)
    assert second.ratio.value == pytest.approx(1, rel=0.03)
    assert climbed.cumulative().value == pytest.approx(2, rel=0.03)
    assert "2 rungs make a frame 2.0" in climbed.ladder_title


def test_leaving_a_switch_out_tells_what_it_is_worth():
    arm = ArmPlan("without frame_step", "frame_step", (), "baseline", removes=True)
    (row,) = ablation([arm], {"without frame_step": 2.0}).rows
    assert row.verdict is Verdict.FASTER
    assert row.ratio.value == pytest.approx(2, rel=0.03)
    assert row.ratio.low < row.ratio.value < row.ratio.high
    pairs = ablation([arm], {"without frame_step": 2.0}).samples_of("frame_step")
    assert min(pairs.ratios) > 1.5
    assert pairs.new_processes


def test_a_failed_arm_keeps_its_reason_and_the_others_go_on():
    row, other = ablation(
        RUNGS, {"+ inference_mode": 1.0, "+ frame_step": 0.5}, failed=("+ inference_mode",)
    ).rows
    assert row.verdict is Verdict.FAILED
    assert "SIGKILL" in row.reason
    assert other.verdict is Verdict.FAILED  # what it stands against is gone
    arm = ArmPlan("tf32", "tf32", ("tf32",), "baseline")
    factors = {"+ inference_mode": 1.0, "tf32": 0.5}
    third = ablation((RUNGS[0], arm), factors, failed=("+ inference_mode",)).row("tf32")
    assert third.verdict is Verdict.FASTER


def test_every_switch_has_a_verdict_or_a_reason_in_the_json():
    told = ablation(RUNGS[:1], {"+ inference_mode": 0.5}, {"tf32": "no GPU"}).to_dict()
    by_name = {arm["name"]: arm for arm in told["arms"]}
    assert by_name["inference_mode"]["verdict"] == "FASTER"
    low, high = by_name["inference_mode"]["interval"]
    assert low < by_name["inference_mode"]["ratio"] < high
    assert by_name["tf32"] == {
        "name": "tf32", "metric": "", "against": "", "reason": "no GPU",
        "sound": "not checked", "contract_kept": None,
    }  # fmt: skip
    assert "inference_mode 2.0" in told["finding"]
    assert "1 can't be measured here" in told["finding"]


def test_what_was_not_reached_says_so():
    (row,) = ablation(RUNGS[:1], {}, studies=False).rows
    assert row.verdict is None
    assert row.reason == "not measured yet"
    assert not row.conclusive


def test_a_disturbed_study_gives_no_verdict():
    (row,) = ablation(RUNGS[:1], {"+ inference_mode": 0.5}, others_s=60.0).rows
    assert row.verdict is Verdict.DISTURBED
    assert "other processes" in row.reason


def test_unknown_switches_are_named():
    with pytest.raises(InputError, match="warp"):
        ablation(RUNGS, {"+ inference_mode": 1.0, "+ frame_step": 1.0}).row("warp")
