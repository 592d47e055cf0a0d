"""A synthesizer as an arm, here in this process."""

import numpy as np
import pytest
import torch

from workbench.errors import InputError
from workbench.measure import speech_arm as module
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


@pytest.mark.parametrize("streaming", [None, "pseudo", "true"])
def test_every_way_of_streaming(tiny_folder, streaming):
    arm = SpeechArm(str(tiny_folder), ["hello"], streaming=streaming, max_frames=3)
    figures = arm.trial(0, seed=0)
    assert figures["frames"] <= 3
    assert len(arm.last().chunks_ms) == (1 if streaming is None else figures["frames"])


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
        str(tiny_folder), ["hello"], load={"implementation": "transformers"}, streaming=None
    )
    assert arm.about()["implementation"] == "transformers"
    with pytest.raises(InputError, match="without texts"):
        SpeechArm(str(tiny_folder), [])


def test_the_arm_names_its_worker():
    made = speech_arm("tf32", "csm-nano", ("hello",), voice=1, environment={"A": "1"})
    assert made.target == "workbench.measure.speech_arm:SpeechArm"
    assert made.kwargs == {"engine": "csm-nano", "texts": ["hello"], "voice": 1}
    assert made.environment == {"A": "1"}
