"""Decoders compared: who takes part, who is left out, and the command on the smallest codec."""

import json

import pytest

from tests.studies.codec.measured import measured
from workbench.cli import main
from workbench.errors import InputError
from workbench.measure import record as records
from workbench.measure.codec_arm import BACKENDS, frame_metric
from workbench.native import native_status
from workbench.studies.codec import study as codec


def test_arms_differ_in_the_backend_alone(tiny_folder, monkeypatch):
    asked = {}

    def run(name, baseline, arms, **settings):
        asked.update(arms=[baseline, *arms], **settings)
        return measured().study

    monkeypatch.setattr(codec, "run_study", run)
    monkeypatch.setattr(codec, "missing", lambda way: "no compiler" if way == "native" else "")
    found = codec.compare_decoders(str(tiny_folder), frames=[4, 1], trials=12, seed=3)
    assert [arm.name for arm in asked["arms"]] == [way for way in BACKENDS if way != "native"]
    assert [arm.kwargs.pop("backend") for arm in asked["arms"]] == [a.name for a in asked["arms"]]
    assert {str(arm.kwargs) for arm in asked["arms"]} == {str(asked["arms"][0].kwargs)}
    assert asked["metric"] == frame_metric(4)
    assert (asked["plan"].trials, asked["plan"].seed) == (12, 3)
    assert found.left_out == {"native": "no compiler"}


def test_a_missing_library_is_named_with_the_remedy(tiny_folder, monkeypatch):
    monkeypatch.setattr(codec, "find_spec", lambda name: None if name == "onnxscript" else name)
    assert codec.missing("onnxruntime").startswith("onnxscript not installed: pip install")
    assert codec.missing("torch") == codec.missing("transformers") == ""
    with pytest.raises(InputError, match="onnxruntime: onnxscript not installed"):
        codec.compare_decoders(str(tiny_folder), ["torch", "onnxruntime"])


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"ways": ["torch", "tensorrt"]}, "'tensorrt'"),
        ({"ways": ["torch"]}, "fewer than two"),
        ({"frames": [0]}, "at least one frame"),
        ({"threads": 0}, "0 threads"),
        ({"codec": "warbler"}, "'warbler'"),
    ],
)
def test_what_can_t_be_compared_is_refused(given, named):
    with pytest.raises(InputError, match=named):
        codec.compare_decoders(**{"ways": ["torch", "transformers"], **given})


def test_the_command_refuses_what_is_no_number(capsys):
    assert main(["bench", "codec", "--frames", "one", "--json"]) == 2
    assert "--frames 'one'" in json.loads(capsys.readouterr().out.splitlines()[-1])["error"]


@pytest.mark.slow
def test_the_command_on_the_smallest_codec(capsys, tmp_path):
    ours = "native" if native_status().built else "torch"
    command = ["bench", "codec", "--codec", "mimi-nano", "--ways", f"transformers,{ours}"]
    command += ["--frames", "1,3", "--trials", "2", "--out", str(tmp_path), "--json"]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [arm["name"] for arm in told["arms"]] == ["transformers", ours]
    for arm in told["arms"]:
        assert arm["frame_ms"] > 0
        assert 0 < arm["max_difference"] < 1e-4
        assert arm["snr_db"] > 60
    assert set(told["by_frames"]) == {"1", "3"}
    assert (told["trials"], told["threads"], told["left_out"]) == (2, 1, {})
    kept = records.read(told["record"])
    assert [metric.name for metric in kept.metrics][:2] == [
        "transformers/1 frames", "transformers/3 frames",
    ]  # fmt: skip
    assert all(len(metric.samples) == 2 for metric in kept.metrics)
