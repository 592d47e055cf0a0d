import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoModelForAudioXVector,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2BertModel,
    Wav2Vec2FeatureExtractor,
    WavLMConfig,
    WavLMForXVector,
)

from tests import tiny_speaker
from tests.turn_sounds import buzz
from workbench.audio import Audio
from workbench.errors import InputError, ModelError
from workbench.quality.speaker import WINDOW_S, load_speaker_encoder, similarity


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_speaker.folder(tmp_path_factory.mktemp("speaker") / "tiny")


@pytest.fixture(scope="module")
def encoder(folder):
    return load_speaker_encoder(str(folder))


def test_an_embedding_is_transformers(folder, encoder):
    whole = buzz(1.5).samples
    loud = np.flatnonzero(np.abs(whole) > 0.02)
    clip = Audio(whole[loud[0] : loud[-1] + 1], 16_000)  # no silence at its edges
    model = AutoModelForAudioXVector.from_pretrained(folder).eval()
    inputs = SeamlessM4TFeatureExtractor()(
        clip.samples, sampling_rate=clip.rate_hz, return_tensors="pt"
    )
    with torch.no_grad():
        wanted = torch.nn.functional.normalize(model(**inputs).embeddings[0], dim=0)
    found = encoder.embed(clip)
    assert found.shape == (encoder.dimensions,)
    assert found.dtype == np.float32
    assert similarity(found, wanted.numpy()) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-6)


def test_silence_around_speech_and_its_level_count_for_nothing(encoder):
    clip = buzz(1.5)
    pause = np.zeros(clip.rate_hz, np.float32)
    later = Audio(np.concatenate([pause, clip.samples, pause]), clip.rate_hz)
    quieter = Audio(0.1 * clip.samples, clip.rate_hz)
    mine = encoder.embed(clip)
    assert similarity(mine, encoder.embed(later)) == pytest.approx(1, abs=1e-4)
    assert similarity(mine, encoder.embed(quieter)) > 0.99


def test_a_long_clip_is_the_mean_of_its_parts(encoder):
    clip = buzz(1.6 * WINDOW_S)
    halves = [encoder.embed(Audio(half, clip.rate_hz)) for half in np.array_split(clip.samples, 2)]
    wanted = np.mean(halves, axis=0)
    assert similarity(encoder.embed(clip), wanted) == pytest.approx(1, abs=1e-3)


def test_other_rates_are_resampled(encoder):
    clip = buzz(2.0)
    assert similarity(encoder.embed(clip), encoder.embed(clip.resampled(24_000))) > 0.98


def test_what_has_no_speaker_is_refused(encoder):
    for clip in (Audio(np.zeros(32_000), 16_000), buzz(0.3), Audio(np.zeros(0), 16_000)):
        with pytest.raises(InputError, match="doesn't tell its speaker"):
            encoder.embed(clip)


def test_the_hubs_architectures_run_through_the_same_code(tmp_path):
    torch.manual_seed(0)
    config = WavLMConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        conv_dim=[8] * 7, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        tdnn_dim=[8, 8], tdnn_kernel=[3, 1], tdnn_dilation=[1, 1], xvector_output_dim=6,
    )  # fmt: skip
    WavLMForXVector(config).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    found = load_speaker_encoder(str(tmp_path))
    assert found.embed(buzz(1.0)).shape == (6,)
    assert found.name == tmp_path.name


def test_another_kind_of_checkpoint_is_refused(tmp_path, monkeypatch):
    SeamlessM4TFeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="no speaker encoder"):
        load_speaker_encoder(str(tmp_path))
    Wav2Vec2BertModel(tiny_speaker.config()).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="lacks the weights"):
        load_speaker_encoder(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no speaker encoder called"):
        load_speaker_encoder("nobody")


vectors = st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=3).filter(
    lambda values: np.linalg.norm(values) > 1e-3
)


@given(vectors, vectors, st.floats(0.1, 10))
@settings(deadline=None)
def test_similarity_is_the_cosine(first, second, scale):
    a, b = np.array(first, np.float32), np.array(second, np.float32)
    wanted = np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))
    assert similarity(a, b) == pytest.approx(wanted, abs=1e-5)
    assert similarity(a, b) == pytest.approx(similarity(scale * b, a), abs=1e-5)
    assert -1 <= similarity(a, b) <= 1


def test_embeddings_of_different_encoders_are_refused():
    with pytest.raises(InputError, match="same encoder"):
        similarity(np.ones(3), np.ones(4))
