"""What a study of decoders says, in figures and words."""

import json

import numpy as np
import pytest

from tests.studies.codec.measured import measured
from workbench.errors import InputError
from workbench.studies.codec.result import Exactness, exactness


def test_the_last_line_has_every_arm():
    told = measured().to_dict()
    json.dumps(told, allow_nan=False)
    first, native = told["arms"]
    assert (first["name"], first["verdict"], first["ratio"]) == ("baseline", "BASELINE", None)
    assert (native["name"], native["verdict"]) == ("native", "FASTER")
    assert native["frame_ms"] == pytest.approx(first["frame_ms"] / 2, rel=0.1)
    assert native["ratio"] == pytest.approx(2, rel=0.1)
    assert native["interval"][0] < native["ratio"] < native["interval"][1]
    assert (native["max_difference"], native["snr_db"]) == (2e-6, 104.0)
    assert set(told["by_frames"]) == {"1", "125"}
    alone = told["by_frames"]["1"][1]
    assert alone["frame_ms"] == pytest.approx(2 * native["frame_ms"])
    assert told["left_out"] == {"onnxruntime": "onnx not installed: pip install it"}


def test_words_name_the_quickest_the_farthest_and_what_is_missing():
    found = measured({"native": 0.5, "torch": 1.5})
    assert found.best == "native"
    assert "as fast as baseline" in found.finding
    assert "of native, the farthest from float64" in found.exact_finding
    assert "SNR 104 dB" in found.verdict
    assert "Onnxruntime was left out: onnx not installed" in found.verdict
    assert "mimi-nano" in found.caption
    assert [row["way"] for row in found.rows()] == ["baseline", "native", "torch"]
    assert found.rows()[2]["verdict"] == "SLOWER"
    assert found.curves["native"][1] == pytest.approx(2 * found.curves["native"][125])
    assert len(list(found.samples())) == 3 * 2


@pytest.mark.parametrize(
    ("torch", "finding"), [(1.5, "Baseline is the quickest"), (1.013, "Nothing was shown to be")]
)
def test_the_baseline_is_the_quickest_only_where_all_others_are_slower(torch, finding):
    found = measured({"native": 1.5, "torch": torch})
    assert found.best == "baseline"
    assert found.finding.startswith(finding)


def test_a_way_that_fails_is_told_and_left_away():
    found = measured({"native": 0.5, "torn": 1.0}, failed=("torn",))
    assert found.ways == ["baseline", "native"]
    assert found.failed == {"torn": "signal SIGKILL"}
    assert "Torn failed: signal SIGKILL" in found.verdict
    alone = measured(failed=("baseline",))
    assert "could be compared" in alone.verdict


def test_exactness_is_that_of_the_definition():
    truth = np.sin(np.arange(1000.0))
    found = exactness((truth + 1e-3).astype(np.float64), truth)
    assert found.max_difference == pytest.approx(1e-3)
    assert found.snr_db == pytest.approx(10 * np.log10(np.mean(truth**2) / 1e-6), abs=1e-6)
    assert exactness(truth, truth) == Exactness(0.0, None)
    assert "no difference" in str(Exactness(0.0, None))
    with pytest.raises(InputError, match="decode the same codes"):
        exactness(truth[:9], truth)
