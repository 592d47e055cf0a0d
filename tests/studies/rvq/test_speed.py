"""The search of codebooks against its limit, in figures and words."""

from types import SimpleNamespace

import pytest

from tests.studies.rvq.test_bench import SMALL
from workbench.native import native_status
from workbench.studies.rvq import bench as rvq
from workbench.studies.rvq.speed import LIMIT_BYTES, LIMIT_FLOAT, Speed, eager_loop, measure_speed


def one(native_ms, whole=None, **changes):
    figures = {
        "native_ms": native_ms, "transformers_ms": 10 * native_ms, "transposed_ms": 4 * native_ms,
        "vs_best_torch": 4.0, "vs_transformers": 10.0, "exact": True, "codes": 320, "wrong": 0,
        "differs_from_transformers": 2,
    }  # fmt: skip
    if whole:
        figures["whole_encode"] = {
            "vs_transformers": whole[0] / whole[1], "transformers_ms": whole[0],
            "native_ms": whole[1],
        }  # fmt: skip
    return figures | changes


def speed(**changes):
    found = {"frames": {"1": one(1.0, (20.0, 11.0)), "125": one(20.0, (1000.0, 820.0))}}
    return Speed(
        **{
            "found": found, "table_bytes": 64_000_000, "flops_per_frame": 32_000_000,
            "read_gbs": 16.0, "compact_gbs": 32.0, "matmul_gflops": 80.0, "machine": "m",
        } | changes
    )  # fmt: skip


def test_limits_are_reading_for_few_frames_and_multiplying_for_many():
    limits = speed().limits_ms
    assert limits[LIMIT_FLOAT] == {1: pytest.approx(4.0), 125: pytest.approx(50.0)}
    assert limits[LIMIT_BYTES] == {1: pytest.approx(0.5), 125: pytest.approx(0.5)}
    assert list(speed().curves) == [
        "native", "transformers", "best of PyTorch: addmm", LIMIT_FLOAT, LIMIT_BYTES,
    ]  # fmt: skip


def test_what_it_saves_in_each_use():
    rows = {row["use"]: row for row in speed().uses()}
    assert rows["speaking"]["saved (ms)"] == 0
    clone = rows["cloning, a reference of 10 s"]
    assert clone["saved (ms)"] == pytest.approx(180.0)
    assert clone["search's share (%)"] == pytest.approx(20.0)
    hour = rows["data preparation, an hour of speech"]
    assert hour["frames searched"] == 45_000
    assert hour["saved (ms)"] == pytest.approx(360 * 180.0)


def test_words_say_what_was_found():
    assert "4.0 times" in speed().finding
    assert "all 640 native codes" in speed().exactness_finding
    assert "4 of transformers'" in speed().exactness_finding
    assert "1.22×" in speed().whole_finding
    wrong = speed(found={"frames": {"1": one(1.0, (20.0, 11.0), exact=False, wrong=3)}})
    assert not wrong.exact
    assert "3 codes are not" in wrong.verdict


@pytest.mark.skipif(not native_status().built, reason="the native kernels aren't built")
def test_a_small_codec_from_end_to_end(tmp_path):
    codec = rvq.random_mimi(**SMALL)
    loop = eager_loop(codec, tmp_path)
    assert loop.calls > 4 * loop.codebooks
    assert "4 codebooks" in loop.finding
    assert (tmp_path / "quantizer.pt.trace.json.gz").is_file()
    ceilings = SimpleNamespace(
        cache_bytes={"cpu": 8192}, cached_gbs=lambda _: 50.0, memory_gbs=lambda _: 20.0,
        matmul_gflops=lambda *_: 40.0,
    )  # fmt: skip
    found = measure_speed(
        codec, ceilings, "m", frames=[1, 3], threads=[1], seconds=0.05, compiled=False
    )
    assert found.exact
    assert (found.read_gbs, found.compact_gbs) == (20.0, 50.0)  # only the latter fits the cache
    assert found.table_bytes == 4 * 4 * 64 * 16
    assert [row["frames"] for row in found.rows()] == [1, 3]
    assert found.verdict
