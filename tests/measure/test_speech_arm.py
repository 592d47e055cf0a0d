"""A synthesizer as an arm, here in this process."""

import numpy as np
import pytest
import torch

from workbench.errors import InputError
from workbench.measure import engine_arm as module
from workbench.measure.speech_arm import METRIC, SpeechArm, speech_arm


@pytest.fixture(autouse=True)
def collector_stays(monkeypatch):
    monkeypatch.setattr(module, "rest_collector", lambda: None)


@pytest.fixture
def arm(tiny_folder):
    return SpeechArm(str(tiny_folder), ["good morning", "hello"], max_frames=6)


def test_trials_speak_texts_in_turn(arm):
    assert arm.warm_up() > 0
    with pytest.raises(InputError, match="no trial has run"):
        arm.last()
    figures = arm.trial(0, seed=3)
    assert arm.last().text == "good morning"
    assert arm.last().seed == 3
    assert set(figures) >= {METRIC, "generation_ms", "ttfa_ms", "onset_ms", "rtf", "frames"}
    assert figures["frame_ms"] == figures["generation_ms"] / figures["frames"]
    assert figures["ttfa_ms"] <= figures["generation_ms"]
    assert figures["peak_rss_bytes"] > 10_000_000
    codes = arm.last().codes
    arm.trial(1, seed=3)
    assert arm.last().text == "hello"
    arm.trial(2, seed=3)
    assert np.array_equal(arm.last().codes, codes)


def test_what_ran_is_told(arm):
    about = arm.about()
    assert about["implementation"] == "frame"
    assert (about["device"], about["dtype"]) == ("cpu", "float32")


@pytest.mark.parametrize("streaming", ["whole", "pseudo", "true"])
def test_every_way_of_streaming(tiny_folder, streaming):
    arm = SpeechArm(str(tiny_folder), ["hello"], streaming=streaming, max_frames=3)
    figures = arm.trial(0, seed=0)
    assert figures["frames"] <= 3
    assert len(arm.last().chunks_ms) == (1 if streaming == "whole" else figures["frames"])
    assert arm.about()["streaming"] == streaming


@pytest.mark.parametrize(
    ("switches", "streaming"), [([], "pseudo"), (["frame_step", "true_streaming"], "true")]
)
def test_switches_decide_how_sound_comes(tiny_folder, switches, streaming):
    load = {"optimizations": switches}
    arm = SpeechArm(str(tiny_folder), ["hello"], load=load, temperature=0, max_frames=4)
    about = arm.about()
    assert about["streaming"] == about["options"]["streaming"] == streaming
    assert about["optimizations"] == switches
    arm.trial(0, seed=0)
    early = arm.last().ttfa_ms < arm.last().generation_ms / 2
    assert early == (streaming == "true")


def test_any_text_can_be_spoken_beside_the_trials(arm):
    with pytest.raises(InputError, match="no streaming called 'none'"):
        SpeechArm("csm-nano", ["hello"], streaming="none")
    sampled, again = arm.speak("another", 5), arm.speak("another", 5)
    greedy = arm.speak("another", 5, temperature=0)
    assert (sampled.text, sampled.seed) == ("another", 5)
    assert np.array_equal(sampled.codes, again.codes)
    assert not np.array_equal(sampled.codes, greedy.codes)
    assert np.array_equal(greedy.codes, arm.speak("another", 6, 0).codes)


def test_threads_and_weights_are_told(tiny_folder):
    arm = SpeechArm(str(tiny_folder), ["hello"], threads=2)
    assert arm.about()["threads"] == 2
    model = arm.engine.csm.model
    unique = {p.data_ptr(): p.nbytes for p in [*model.parameters(), *model.buffers()]}
    assert 0.5 * sum(unique.values()) < arm.about()["weights_bytes"] <= sum(unique.values())


def test_quantized_weights_count_with_what_they_take():
    plain = torch.nn.Sequential(torch.nn.Linear(256, 256, bias=False))
    assert module.state_bytes(plain.state_dict()) == 4 * 256 * 256
    tied = {"a": plain[0].weight, "b": plain[0].weight}
    assert module.state_bytes(tied) == 4 * 256 * 256
    packed = {"packed": (plain[0].weight.to(torch.int8), None), "dtype": torch.qint8}
    assert module.state_bytes(packed) == 256 * 256


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_events_time_the_gpu(tiny_folder):
    arm = SpeechArm(str(tiny_folder), ["hello"], load={"device": "cuda"}, max_frames=3)
    figures = arm.trial(0, seed=0)
    assert figures["gpu_ms"] > 0
    assert figures["peak_gpu_bytes"] > 0
    assert arm.about()["device"].startswith("cuda")


def test_settings_reach_the_engine(tiny_folder):
    arm = SpeechArm(
        str(tiny_folder), ["hello"], load={"implementation": "transformers"}, streaming="whole"
    )
    assert arm.about()["implementation"] == "transformers"
    with pytest.raises(InputError, match="without texts"):
        SpeechArm(str(tiny_folder), [])


def test_the_arm_names_its_worker():
    made = speech_arm("tf32", "csm-nano", ("hello",), voice=1, environment={"A": "1"})
    assert made.target == "workbench.measure.speech_arm:SpeechArm"
    assert made.kwargs == {"engine": "csm-nano", "texts": ["hello"], "voice": 1}
    assert made.environment == {"A": "1"}
