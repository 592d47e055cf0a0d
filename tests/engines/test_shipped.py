"""The shipped voice through the same doors as any checkpoint."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import workbench
from tests.engines.csm.test_engine import TEXTS
from workbench.paths import data_dir

FOLDER = data_dir() / "models" / "csm-nano"


@pytest.fixture(scope="module")
def engine():
    return workbench.load("csm-nano")


@pytest.fixture(scope="module")
def baseline(engine):
    return engine.with_implementation("transformers")


@pytest.mark.slow
def test_greedy_codes_equal_transformers_for_twenty_texts(engine, baseline):
    for text in TEXTS:
        ours = engine.synthesize(text, temperature=0, max_frames=60)
        theirs = baseline.synthesize(text, temperature=0, max_frames=60)
        assert np.array_equal(ours.codes, theirs.codes), text


def test_streamed_equals_offline_decode(engine):
    stream = engine.stream("good morning, how are you today?", seed=0)
    list(stream)
    speech = stream.speech
    with torch.inference_mode():
        offline = engine.codec.decode(torch.from_numpy(speech.codes)[None]).audio_values[0, 0]
    assert len(speech) == len(offline)
    assert np.abs(speech.samples - offline.numpy()).max() <= 1e-5


def test_four_voices_or_more_each_speak_and_end(engine):
    assert len(engine.voices) >= 4
    for voice in engine.voices:
        speech = engine.synthesize("good morning", voice=voice, seed=0)
        assert 0.3 < speech.duration_s < 6
        assert -40 < speech.rms_dbfs < -5
        assert speech.audible_onset_s is not None


def test_stock_transformers_loads_the_same_tokens(engine):
    """CsmProcessor and our prompt agree, so that the files serve transformers' users too."""
    from transformers import CsmProcessor

    from workbench.models.csm.prompt import Segment, token_ids

    processor = CsmProcessor.from_pretrained(FOLDER)
    content = [{"type": "text", "text": "Good morning, how are you?"}]
    theirs = processor.apply_chat_template(
        [{"role": "1", "content": content}], tokenize=True, return_dict=True
    )
    ours = token_ids(engine.csm, [Segment("Good morning, how are you?", 1)]).tolist()
    assert np.asarray(theirs["input_ids"]).reshape(-1).tolist() == ours


def test_the_files_carry_what_a_shipped_model_needs():
    for model in ("csm-nano", "mimi-nano"):
        folder = data_dir() / "models" / model
        names = {path.name for path in folder.iterdir()}
        assert {"model.safetensors", "config.json", "SHA256SUMS", "README.md"} <= names
        assert "word error rate" in (folder / "README.md").read_text().lower()
    config = json.loads((FOLDER / "config.json").read_text())
    assert config["model_type"] == "csm"


def test_loading_adds_less_than_400_megabytes():
    code = """
import psutil, torch, transformers.models.csm.modeling_csm, transformers.models.mimi.modeling_mimi
import workbench
process = psutil.Process()
before = process.memory_info().rss
engine = workbench.load("csm-nano")
engine.synthesize("good morning", seed=0)
print((process.memory_info().rss - before) / 1e6)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 400
