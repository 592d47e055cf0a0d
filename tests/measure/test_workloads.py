"""The kinds of work that arms do, on the tiny checkpoint, here in this process."""

import json

import pytest
import torch

from workbench.errors import InputError
from workbench.measure import engine_arm, first_call_arm
from workbench.measure.batch_arm import BatchArm
from workbench.measure.first_call_arm import FirstCallArm
from workbench.measure.plan import Plan
from workbench.measure.slowed_arm import SlowedArm
from workbench.measure.text_arm import TextArm
from workbench.measure.transfer_arm import TransferArm
from workbench.measure.trials import run_study
from workbench.measure.workloads import TARGETS, arm_for

TEXTS = ["good morning", "hello"]


@pytest.fixture(autouse=True)
def collector_stays(monkeypatch):
    monkeypatch.setattr(engine_arm, "rest_collector", lambda: None)
    monkeypatch.setattr(first_call_arm, "rest_collector", lambda: None)


def check(arm, *figures):
    assert arm.warm_up() > 0
    found = arm.trial(0, seed=0)
    assert set(found) >= {*figures, "peak_rss_bytes"}
    assert all(found[name] > 0 for name in figures)
    about = arm.about()
    json.dumps(about, allow_nan=False)
    assert set(about) >= {"optimizations", "options", "dtype", "threads", "weights_bytes"}
    assert about["weights_bytes"] > 100_000
    return found


@pytest.mark.slow
def test_first_call_is_in_a_process_of_its_own(tiny_folder):
    arm = FirstCallArm(str(tiny_folder), TEXTS, max_frames=2)
    found = check(arm, "first_call_ms", "ready_ms", "whole_ms")
    assert found["first_call_ms"] <= found["whole_ms"]
    assert found["ready_ms"] > found["first_call_ms"]
    with pytest.raises(InputError, match="no voice 99"):
        FirstCallArm(str(tiny_folder), TEXTS, voice=99).warm_up()


def test_batch(tiny_folder):
    arm = BatchArm(str(tiny_folder), TEXTS, max_frames=3)
    found = check(arm, "batch_ms", "audio_s_per_s", "frames")
    assert found["frame_ms"] == pytest.approx(found["batch_ms"] / found["frames"])
    assert found["frames"] <= 6


def test_text(tiny_folder):
    found = check(TextArm(str(tiny_folder), TEXTS), "text_ms", "tokens")
    one = len("[0]good morning") + 2, len("[0]hello") + 2
    assert found["tokens"] == 16 * sum(one)


def test_transfer_needs_a_gpu(tiny_folder):
    with pytest.raises(InputError, match="can't be measured on cpu"):
        TransferArm(str(tiny_folder), TEXTS, load={"device": "cpu"})


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("switches", [[], ["pinned_memory"]])
def test_transfer(tiny_folder, switches):
    load = {"device": "cuda", "optimizations": switches}
    arm = TransferArm(str(tiny_folder), TEXTS, load=load)
    check(arm, "transfer_ms", "prompt_ms", "weight_ms", "gb_per_s", "peak_gpu_bytes")


def test_a_slowed_arm_takes_its_share_longer(tiny_folder, monkeypatch):
    """On a clock that only the chunks and the waiting move."""
    arm = SlowedArm(str(tiny_folder), TEXTS, slow_down=0.5, max_frames=4)
    assert arm.about()["slow_down"] == 0.5
    now = [0.0]

    def clock():
        now[0] += 0.001
        return now[0]

    monkeypatch.setattr("workbench.measure.slowed_arm.time.perf_counter", clock)

    def chunks():
        for _ in range(4):
            now[0] += 1.0
            yield

    begin = now[0]
    arm.consume(chunks())
    assert now[0] - begin == pytest.approx(6.0, rel=0.01)


def test_a_slowed_arm_speaks_the_same(tiny_folder):
    with pytest.raises(InputError, match="slow-down of -1"):
        SlowedArm(str(tiny_folder), TEXTS, slow_down=-1)
    with pytest.raises(InputError, match="as a whole"):
        SlowedArm(str(tiny_folder), TEXTS, slow_down=0.1, streaming="whole")
    codes = [
        SlowedArm(str(tiny_folder), TEXTS, slow_down=slow_down, max_frames=3)
        .speak("hello", 1)
        .codes
        for slow_down in (0.0, 0.2)
    ]
    assert (codes[0] == codes[1]).all()


def test_every_workload_has_its_arm():
    arm = arm_for("batch", "b", "csm-nano", ("a", "b"), load={"threads": 1}, voice=2, python="py")
    assert (arm.name, arm.python) == ("b", "py")
    assert arm.kwargs == {
        "engine": "csm-nano", "texts": ["a", "b"], "load": {"threads": 1}, "voice": 2
    }  # fmt: skip
    assert {arm_for(name, "x", "e", ["t"]).target for name in TARGETS} == set(TARGETS.values())
    with pytest.raises(InputError, match="no workload called 'sing'"):
        arm_for("sing", "x", "e", ["t"])


def test_switches_name_known_workloads():
    from typing import get_args

    from workbench.optimizations.switch import Workload

    assert set(TARGETS) == set(get_args(Workload))


@pytest.mark.slow
@pytest.mark.parametrize("workload", ["speech", "batch"])
def test_a_study_of_each_workload(tiny_folder, workload):
    metric = {"speech": "frame_ms", "batch": "batch_ms"}[workload]
    baseline, arm = (
        arm_for(
            workload, name, str(tiny_folder), TEXTS, load={"optimizations": names}, max_frames=2
        )
        for name, names in (("generate", []), ("frame", ["frame_step"]))
    )
    found = run_study("x", baseline, [arm], metric=metric, plan=Plan(trials=4, starts=2))
    assert not found.failed
    assert {result.rounds for result in found.results.values()} == {(0, 1, 2, 3)}
    assert found.results["frame"].about["optimizations"] == ["frame_step"]
