import json

import numpy as np
import pytest
import torch

from workbench.cli import main
from workbench.errors import InputError
from workbench.measure.record import read
from workbench.native import native_status
from workbench.studies.claims.records import from_record
from workbench.studies.rvq import bench as rvq

pytestmark = pytest.mark.skipif(
    not native_status().built, reason=f"native kernels: {native_status().reason}"
)
SMALL = {
    "num_quantizers": 4,
    "codebook_size": 64,
    "codebook_dim": 16,
    "vector_quantization_hidden_dimension": 16,
    "hidden_size": 32,
    "num_filters": 4,
    "upsample_groups": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 32,
}


@pytest.fixture(scope="module")
def codec():
    return rvq.random_mimi(**SMALL)


def test_all_arms_give_the_same_codes(codec):
    latents = torch.randn(1, 32, 20)
    with torch.inference_mode():
        arms = rvq._arms(codec, latents, compiled=False)
        expected = arms[rvq.TRANSFORMERS]().transpose(0, 1)
        assert torch.equal(arms[rvq.NATIVE](), expected)
        assert torch.equal(arms[rvq.TRANSPOSED](), expected)


def test_exactness_notices_a_wrong_code(codec, monkeypatch):
    latents = torch.randn(1, 32, 20)
    assert rvq.exactness(codec, latents)["exact"]
    right = rvq.encode_latents

    def wrong(*arguments, **more):
        codes = right(*arguments, **more)
        codes[0, 2, 5] = (codes[0, 2, 5] + 1) % 64
        return codes

    monkeypatch.setattr(rvq, "encode_latents", wrong)
    found = rvq.exactness(codec, latents)
    assert not found["exact"]
    assert found["wrong"] >= 1


def test_the_summary(codec, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(rvq, "random_mimi", lambda: codec)
    command = ["bench", "rvq", "--frames", "1,3", "--threads", "1,2", "--seconds", "0.01"]
    assert main([*command, "--no-compile", "--out", str(tmp_path), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(summary["frames"]) == {"1", "3"}
    for one in summary["frames"].values():
        assert one["exact"] is True
        assert one["vs_best_torch"] > 0
        assert one["vs_transformers"] > 0
        assert one["best_torch"] == "transposed"
        assert one["whole_encode"]["native_ms"] > 0
        assert one["threads_2"]["native_ms"] > 0
    record = read(tmp_path / "rvq.record.json")
    one = summary["frames"]["3"]
    samples = record.metric("native/3 frames, 1 threads").samples
    assert len(samples) == one["rounds"]
    assert np.median(samples) == pytest.approx(one["native_ms"], abs=1e-4)
    assert set(from_record(record)) == {"rvq", "rvq_encode"}
    assert main([*command, "--no-compile"]) == 0
    assert "all codes exact" in capsys.readouterr().out


def test_wrong_lengths(codec):
    with pytest.raises(InputError, match="frames"):
        rvq.bench(codec, frames=[0])
    assert main(["bench", "rvq", "--frames", "one"]) == 2
