"""CSM side by side: equal codes, paired ratios, and arms that can't work say why."""

import pytest

from workbench.errors import InputError
from workbench.native import native_status
from workbench.studies.frames.bench import BenchSettings, bench


@pytest.fixture(scope="module")
def found(tiny_folder):
    return bench(
        BenchSettings(
            engine=str(tiny_folder),
            against=("transformers",),
            ours=("frame", "frame-fused", "frame-graph"),
            lossy=("frame-int8", "frame-native-int4", "frame-graph-int8"),
            texts=("hello", "good morning"),
            trials=3,
            max_frames=5,
            device="cpu",
        )
    )


def test_our_rungs_give_transformers_codes(found):
    assert found.codes_equal["frame"] is True
    assert found.codes_equal["frame-fused"] is True
    assert found.to_dict()["codes_equal"] is True


def test_what_cannot_work_here_says_why(found):
    graph = found.arm("frame-graph")
    assert "CUDA" in graph.reason
    assert not graph.frame_ms
    told = {arm["name"]: arm for arm in found.to_dict()["arms"]}
    assert "CUDA" in told["frame-graph"]["reason"]


def test_figures_are_paired_by_round(found):
    theirs, ours = found.arm("transformers"), found.arm("frame")
    assert len(theirs.frame_ms) == len(ours.frame_ms) == 3
    assert len(ours.gap_ms) == 3 * 2 * 4  # five chunks, two texts, three rounds
    assert not theirs.gap_ms  # its chunks come all at once
    told = found.to_dict()
    low, high = told["speedup_interval"]
    assert low <= told["speedup"] <= high
    best = min(arm["frame_ms"]["p50"] for arm in told["arms"] if arm["name"] in found.settings.ours
               and "frame_ms" in arm)  # fmt: skip
    assert told["percent_of_roofline"] == pytest.approx(100 * told["limit_ms"] / best)


@pytest.mark.skipif(not native_status().built, reason="the native kernels aren't built")
def test_rounded_weights_are_measured_with_no_say_in_the_gain(found):
    arm = found.arm("frame-int8")
    assert len(arm.frame_ms) == 3, arm.reason
    assert "CUDA" in found.arm("frame-graph-int8").reason
    assert "frame-int8" not in found.codes_equal
    assert set(found.lossy_ratios()) == {"frame-int8", "frame-native-int4"}
    told = found.to_dict()["lossy_speedup"]["frame-int8"]
    assert told["interval"][0] <= told["value"] <= told["interval"][1]
    assert found.best(found.settings.ours).name in ("frame", "frame-fused")


@pytest.mark.parametrize(
    "wrong",
    [
        {"lossy": ("frame",)},
        {"ours": ("warp",)},
        {"against": ()},
        {"trials": 1},
        {"ours": ("transformers",)},
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(InputError, match=r"arm|trials"):
        BenchSettings(**wrong)
