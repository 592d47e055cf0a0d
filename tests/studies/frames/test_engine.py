"""Rung by rung from generate on: the same codes, and fewer launches."""

import pytest

from workbench.errors import InputError
from workbench.native import native_status
from workbench.profiling.roofline import FrameLimit
from workbench.studies.frames.bench import OURS
from workbench.studies.frames.engine import (
    GENERATE,
    WORDS,
    measure_frame_engine,
    rung_rows,
    rungs_here,
)

LIMIT = FrameLimit(
    bytes_by_part={}, flops_by_part={}, limit_ms_by_part={}, limit_ms=0.01, bound_by="memory",
    frame_ms=80.0, machine="test", device="cpu", dtype="float32", position=0, streams=1,
    memory_gbs=1.0, matmul_gflops=1.0, cached=(),
)  # fmt: skip


BUILT = native_status().built
LAST = "frame-native" if BUILT else "frame-fused"


@pytest.fixture(scope="module")
def found(tiny_engine, tmp_path_factory):
    return measure_frame_engine(
        tiny_engine,
        "hello",
        LIMIT,
        out=tmp_path_factory.mktemp("frame-engine"),
        rungs=["frame", LAST, "frame-graph"],
        trials=2,
        max_frames=6,
        frames=2,
    )


def test_all_rungs_say_what_generate_says(found):
    assert found.rungs == (GENERATE, "frame", LAST)
    assert set(found.token_shares.values()) == {1.0}
    assert found.same
    assert "All codes are equal" in found.verdict


def test_a_rung_that_cannot_work_here_has_its_reason(found):
    assert "CUDA" in found.left_out["frame-graph"]


def test_every_rung_has_fewer_launches_than_the_one_before(found):
    launches = list(found.launches.values())
    assert launches == sorted(launches, reverse=True)
    assert f"{launches[0]:,.0f}" in found.launch_finding


def test_figures_belong_together(found):
    assert set(found.gains) == {"frame", LAST}
    times = {rung: time.value for rung, time in found.frame_ms.items()}
    assert found.last == min(("frame", LAST), key=times.__getitem__)
    assert found.shares["frame"] == pytest.approx(LIMIT.limit_ms / times["frame"])
    assert [row["rung"] for row in found.rows()] == list(found.rungs)
    assert {name for name, values, _ in found.samples() if len(values) == 2} == {
        f"frame/{rung}" for rung in found.rungs
    }
    assert [line.length_ms > 0 for line in found.lines.values()] == [True] * 3
    assert len(found.clips) == 2


@pytest.mark.skipif(not BUILT, reason="the native kernels aren't built")
def test_native_calls_are_the_last_rungs_here(found, tiny_engine):
    assert rungs_here(tiny_engine)[-2:] == ("frame-native", "frame-native-codec")
    assert found.launches["frame-native"] < 0.2 * found.launches["frame"]
    line = found.lines["frame-native"]
    assert 0 < sum(length for _, length in line.busy) < line.length_ms


def test_every_rung_is_explained():
    assert set(OURS) <= set(WORDS)
    assert [row["rung"] for row in rung_rows(["frame"])] == [GENERATE, "frame"]


@pytest.mark.parametrize(("rungs", "named"), [(["warp"], "warp"), ([], "no rung"),
                                              (["frame-graph"], "none of our rungs")])  # fmt: skip
def test_rungs_that_there_are_not_are_refused(rungs, named, tiny_engine, tmp_path):
    with pytest.raises(InputError, match=named):
        measure_frame_engine(tiny_engine, "hello", LIMIT, out=tmp_path, rungs=rungs)
