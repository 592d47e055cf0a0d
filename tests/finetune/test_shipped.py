"""The models that are shipped, with what others rely on."""

import json

import numpy as np
import pytest
import torch
from transformers import CsmConfig, CsmProcessor, MimiModel

from workbench.errors import InputError
from workbench.files import sha256_of
from workbench.finetune.nano.evaluate import codec_round_trip
from workbench.finetune.nano.speech import VOICES, flite
from workbench.paths import data_dir

MODELS = data_dir() / "models"


@pytest.fixture(scope="module")
def codec() -> MimiModel:
    return MimiModel.from_pretrained(MODELS / "mimi-nano", dtype=torch.float32).eval()


@pytest.mark.parametrize(
    "name", ["mimi-nano", "csm-nano", "whisper-nano", "whisper-nano/ct2", "chat-nano"]
)
def test_files_are_those_of_their_checksums(name: str) -> None:
    lines = (MODELS / name / "SHA256SUMS").read_text().splitlines()
    assert any("model." in line for line in lines)
    for line in lines:
        digest, file = line.split("  ")
        assert sha256_of(MODELS / name / file) == digest, file


def test_the_end_code_is_never_heard(codec) -> None:
    source = np.random.default_rng(0)
    for level in (0.0, 1e-3, 0.1, 1.0):
        sound = torch.from_numpy(source.normal(size=(1, 1, 48_000)) * level).float()
        with torch.no_grad():
            codes = codec.encode(sound).audio_codes
        assert codes.shape == (1, codec.config.num_quantizers, 25)
        assert codes.min() > 0


def test_configurations_belong_together(codec) -> None:
    config = CsmConfig.from_pretrained(MODELS / "csm-nano")
    assert config.num_codebooks == codec.config.num_quantizers
    assert config.codec_config.codebook_size == codec.config.codebook_size
    assert config.codec_config.frame_rate == 12.5
    extra = json.loads((MODELS / "csm-nano" / "workbench.json").read_text())
    assert extra["codec"] == "mimi-nano"
    assert [voice["name"] for voice in extra["voices"].values()] == [v.name for v in VOICES]


def test_tokens_have_embeddings() -> None:
    config = CsmConfig.from_pretrained(MODELS / "csm-nano")
    tokenizer = CsmProcessor.from_pretrained(MODELS / "csm-nano").tokenizer
    ids = tokenizer("[0]Naïve façade — 100 %!\u200b", add_special_tokens=True)["input_ids"]
    assert max(ids) < len(tokenizer) <= config.text_vocab_size


def test_the_codec_keeps_silence_silent(codec) -> None:
    with torch.no_grad():
        codes = codec.encode(torch.zeros(1, 1, 24_000)).audio_codes
        sound = codec.decode(codes).audio_values
    assert float(sound.abs().max()) < 0.01


def test_the_codec_s_speech_has_no_offset(codec) -> None:
    try:
        samples = flite().say("good morning, it's a sunny day in london", 0).samples
    except InputError as problem:
        pytest.skip(f"no flite here: {problem.what}")
    made = codec_round_trip(codec, samples)
    assert np.abs(np.mean(made[: len(made) // 2400 * 2400].reshape(-1, 2400), axis=1)).max() < 0.02
    assert abs(float(np.mean(made))) < 0.01
    assert 0.5 < made.std() / samples.std() < 2
