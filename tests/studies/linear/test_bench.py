import json

import numpy as np
import pytest
import torch

from workbench.cli import main
from workbench.errors import InputError
from workbench.measure.record import read
from workbench.native import native_status
from workbench.studies.linear import bench as linear

pytestmark = pytest.mark.skipif(
    not native_status().built, reason=f"native kernels: {native_status().reason}"
)
SMALL = {"narrow": (32, 16), "wide": (32, 64)}


def test_the_shapes_are_csm_1b_s():
    from transformers import CsmConfig

    config = CsmConfig()
    for name, network in (("backbone", config), ("depth", config.depth_decoder_config)):
        width, inner = network.hidden_size, network.intermediate_size
        heads = network.num_attention_heads * network.head_dim
        both = 2 * network.num_key_value_heads * network.head_dim
        assert linear.SHAPES[f"{name} query-key-value"] == (width, heads + both)
        assert linear.SHAPES[f"{name} out"] == (heads, width)
        assert linear.SHAPES[f"{name} gate-up"] == (width, 2 * inner)
        assert linear.SHAPES[f"{name} down"] == (inner, width)


def test_all_arms_are_the_same_layer_from_memory_of_their_own():
    made, sizes = linear._layers(64, 48, copies=3, device=torch.device("cpu"))
    x = torch.randn(2, 64, dtype=torch.bfloat16)
    exact = made["float32"][0].weight.detach()
    expected = x.float() @ exact.T
    for name, most in (("bfloat16", 0.02), ("native_int8", 0.02), ("native_int4", 0.15)):
        off = made[name][0](x).float() - expected
        assert off.norm() < most * expected.norm()
    for name in linear.ARMS:
        places = {layer.weight.data_ptr() for layer in made[name]}
        assert len(places) == 3
    assert sizes == {
        "bfloat16": 2 * 64 * 48, "float32": 4 * 64 * 48, "native_int8": 64 * 48 + 4 * 48,
        "native_int4": 64 * 48 // 2 + 2 * 64 * 48 // 32, "read": 2 * 64 * 48,
    }  # fmt: skip


def test_ratios_are_of_the_same_round():
    times = {"bfloat16": [10.0, 20.0, 40.0], "native_int8": [5.0, 10.0, 20.0],
             "float32": [20.0, 40.0, 80.0], "read": [8.0, 25.0, 32.0]}  # fmt: skip
    sizes = {"bfloat16": 200, "native_int8": 100, "float32": 400, "read": 200}
    figures = linear._figures(times, sizes)
    assert figures["native_int8"]["speedup"] == 2
    assert figures["float32"]["speedup"] == 0.5
    assert figures["native_int8"]["interval"] == [2, 2]
    # 200 bytes are read in 8 by the sum and in 10 by float32, where bfloat16 takes 10.
    assert figures["bfloat16"]["percent_of_read"] == 80
    assert figures["native_int8"]["percent_of_read"] == 80
    # In the second round float32 was faster: 400 bytes in 40.
    assert figures["read_gbs"] == round(200 / 20 / 1000, 2)


def test_the_command(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(linear.bench.__kwdefaults__, "shapes", SMALL)
    command = ["bench", "linear", "--rows", "1,3", "--seconds", "0.01", "--mib", "1"]
    assert main([*command, "--out", str(tmp_path), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(summary["layers"]) == set(SMALL)
    one = summary["layers"]["wide"]["3"]
    assert one["bfloat16"]["speedup"] == 1
    samples = read(tmp_path / "linear.record.json").metric("native_int8/wide, 3 rows").samples
    assert len(samples) == one["rounds"]
    assert np.median(samples) == pytest.approx(one["native_int8"]["us"], abs=0.01)
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "wide, 3 rows" in said
    assert "times as fast as bfloat16" in said


def test_numbers_below_one_are_refused():
    with pytest.raises(InputError, match="rows"):
        linear.bench(shapes=SMALL, rows=[0])
    assert main(["bench", "linear", "--threads", "0"]) == 2
