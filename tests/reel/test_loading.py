"""What ``workbench.load`` gets for a script's engine."""

import pytest

from workbench.errors import InputError
from workbench.optimizations.environment import SpeechSettings
from workbench.reel.loading import load_settings

ON_CPU = SpeechSettings(device="cpu")


def test_csm_gets_all_switches():
    found, _ = load_settings("csm-nano", "random", ON_CPU)
    assert (found["weights"], found["device"]) == ("random", "cpu")
    assert {"frame_step", "batching"} <= set(found["optimizations"])
    plain, _ = load_settings("csm-nano", "auto", SpeechSettings(device="cpu", optimized=False))
    assert plain["optimizations"] == []


@pytest.mark.parametrize("engine", ["f5", "chatterbox:some/folder", "fish"])
def test_guests_on_pytorch_get_what_they_have_a_use_for(engine):
    asked = SpeechSettings(device="cpu", matmul_precision="medium", precision="half")
    found, left_out = load_settings(engine, "auto", asked)
    assert "frame_step" not in found["optimizations"]
    assert "no use" in left_out["frame_step"]
    assert {"inference_mode", "matmul_precision=medium"} <= set(found["optimizations"])
    assert "hybrid_precision" in found["optimizations"]


def test_an_engine_s_own_settings_are_handed_over():
    found, _ = load_settings("f5", "auto", ON_CPU, {"nfe_step": 7})
    assert (found["nfe_step"], found["device"]) == (7, "cpu")
    with pytest.raises(InputError, match="'weights' among"):
        load_settings("f5", "auto", ON_CPU, {"weights": "random"})


def test_guests_without_pytorch_get_none():
    found, left_out = load_settings("piper:a.onnx", "auto", ON_CPU)
    assert found == {"weights": "auto", "device": "cpu"}
    assert "no use" in left_out["inference_mode"]
