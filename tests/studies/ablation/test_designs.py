"""Designs: which arms are compared with which, and what is left out with which reason."""

import pytest

from workbench.errors import InputError
from workbench.optimizations import Site
from workbench.studies.ablation.designs import PLAIN, design
from workbench.studies.ablation.settings import AblationSettings, read_settings, settings_from

CPU = Site(device="cpu", physical_cores=2, hardware_threads=2, codebooks=6)


def planned(*names, site=CPU, **fields):
    return design(AblationSettings(optimizations=names, **fields), site)


def test_one_at_a_time_compares_each_switch_with_what_it_requires():
    plan = planned("inference_mode", "frame_step", "true_streaming")
    by_metric = {(one.baseline, one.metric): one for one in plan.comparisons}
    assert set(by_metric) == {(PLAIN, "frame_ms"), ("frame_step", "ttfa_ms")}
    assert [arm.switch for arm in by_metric[PLAIN, "frame_ms"].arms] == [
        "inference_mode",
        "frame_step",
    ]
    streaming = by_metric["frame_step", "ttfa_ms"].arms[0]
    assert streaming.switches == ("frame_step", "true_streaming")
    assert streaming.against == "frame_step"


def test_base_switches_are_on_everywhere():
    plan = planned("inference_mode", base=("frame_step",))
    (comparison,) = plan.comparisons
    assert comparison.baseline_switches == ("frame_step",)
    assert comparison.arms[0].switches == ("inference_mode", "frame_step")


def test_a_ladder_is_cumulative_and_each_rung_stands_against_the_one_below():
    plan = planned("inference_mode", "frame_step", "true_streaming", design="ladder")
    (comparison,) = plan.comparisons
    assert comparison.baseline == PLAIN
    assert [(arm.against, arm.switches) for arm in comparison.arms] == [
        (PLAIN, ("inference_mode",)),
        ("+ inference_mode", ("inference_mode", "frame_step")),
        ("+ frame_step", ("inference_mode", "frame_step", "true_streaming")),
    ]


def test_leave_one_out_takes_what_needs_it_along():
    plan = planned("inference_mode", "frame_step", "true_streaming", design="leave-one-out")
    (comparison,) = plan.comparisons
    assert comparison.baseline_switches == ("inference_mode", "frame_step", "true_streaming")
    without = {arm.switch: arm.switches for arm in comparison.arms}
    assert without["inference_mode"] == ("frame_step", "true_streaming")
    assert without["frame_step"] == ("inference_mode",)
    assert all(arm.removes for arm in comparison.arms)


def test_what_cant_be_measured_is_left_out_with_its_reason(monkeypatch):
    monkeypatch.setenv("WORKBENCH_INFERENCE_MODE", "0")
    plan = planned("tf32", "inference_mode")
    assert plan.comparisons == ()
    assert "CUDA" in plan.left_out["tf32"]
    assert "WORKBENCH_INFERENCE_MODE=0" in plan.left_out["inference_mode"]


def test_a_rung_without_what_it_requires_is_left_out():
    plan = planned("true_streaming", design="ladder")
    assert "frame_step" in plan.left_out["true_streaming"]


def test_all_means_every_switch_each_measured_or_with_a_reason():
    from workbench.optimizations import NAMES

    plan = design(AblationSettings(optimizations="all"), CPU)
    measured = [arm.switch for one in plan.comparisons for arm in one.arms]
    assert sorted([*measured, *plan.left_out]) == sorted(NAMES)


@pytest.mark.parametrize("wrong", [("warp",), ("tf32", "tf32"), ("tf32=9",)])
def test_wrong_names_are_refused(wrong):
    with pytest.raises(InputError, match=wrong[0].partition("=")[0]):
        planned(*wrong)


def test_a_study_file_is_typed(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("design: ladder\noptimizations: [frame_step]\ntrials: 30\n")
    settings = read_settings(path)
    assert (settings.design, settings.optimizations, settings.trials) == (
        "ladder", ("frame_step",), 30,
    )  # fmt: skip
    path.write_text("desing: ladder\n")
    with pytest.raises(InputError, match="desing"):
        read_settings(path)
    path.write_text("- a\n")
    with pytest.raises(InputError, match="no fields"):
        read_settings(path)
    with pytest.raises(InputError, match="none.yaml"):
        read_settings(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "wrong", [{"trials": 1}, {"texts": []}, {"threshold": 2}, {"design": "spiral"}]
)
def test_settings_out_of_range_name_the_field(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        settings_from(wrong, "here")
