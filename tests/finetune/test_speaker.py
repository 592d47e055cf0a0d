"""speaker-nano: its synthetic speakers, its training at smoke size, and what ships."""

import json
import shutil

import numpy as np
import pytest
import torch

from workbench.cloning.voices import LISTING, sample_voices
from workbench.errors import InputError
from workbench.finetune.nano import speakers as all_speakers
from workbench.finetune.nano.domain import is_held_out
from workbench.finetune.nano.speaker import (
    DIMENSIONS,
    FEATURES,
    build_speaker,
    discriminants,
    feature_extractor,
    features_of,
    fit_speaker,
    statistics_of,
)
from workbench.finetune.nano.speaker_train import Recipe, train_speaker_nano, write_voices
from workbench.finetune.nano.speakers import (
    Speaker,
    held_out_speakers,
    sample_speakers,
    texts,
    training_speakers,
)
from workbench.finetune.nano.speech import flite
from workbench.paths import data_dir
from workbench.quality.speaker import load_speaker_encoder, similarity


@pytest.fixture
def flite_here():
    try:
        flite()
    except InputError as problem:
        pytest.skip(f"no flite here: {problem.what}")


espeak = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng isn't installed")


def test_no_held_out_voice_is_trained_on():
    trained = {speaker.voice.partition("+")[2] for speaker in training_speakers()}
    kept = {s.voice.partition("+")[2] for s in held_out_speakers() if s.source == "espeak"}
    samples = {s.voice.partition("+")[2] for s in sample_speakers() if s.source == "espeak"}
    assert not trained & kept
    assert samples <= kept
    assert all(speaker.source == "espeak" for speaker in training_speakers())
    assert training_speakers() == training_speakers()
    assert len({speaker.name for speaker in training_speakers()}) == len(training_speakers())


def test_texts_are_kept_apart():
    assert all(is_held_out(text) for text in texts(20, held_out=True))
    assert not any(is_held_out(text) for text in texts(20, held_out=False))


def test_a_faster_speaker_is_shorter_and_higher(flite_here):
    slow, fast = (Speaker("a", "flite", "rms", speed=speed) for speed in (1.0, 1.25))
    one, other = slow.say("good morning"), fast.say("good morning")
    assert one.rate_hz == other.rate_hz == 24_000
    assert len(one) / len(other) == pytest.approx(1.25, rel=0.01)
    assert fast.made_by == "flite, voice rms, played 1.25 times as fast"


@espeak
def test_espeak_speaks_at_our_rate():
    clip = Speaker("a", "espeak", "en-us+f3", pitch=40).say("good morning how are you")
    assert clip.rate_hz == 24_000
    assert 0.8 < clip.duration_s < 3
    with pytest.raises(InputError, match="no voice"):
        Speaker("a", "espeak", "en-us+nobody").say("hello")


def test_a_missing_program_is_named(monkeypatch):
    monkeypatch.setattr(all_speakers.shutil, "which", lambda _: None)
    with pytest.raises(InputError, match="espeak-ng isn't installed"):
        Speaker("a", "espeak", "en-us").say("hello")


@espeak
def test_training_at_smoke_size(tmp_path, flite_here):
    recipe = Recipe(clips=2, speakers=3)
    first = train_speaker_nano(tmp_path, "data", recipe=recipe)
    assert first["stages"]["data"]["speakers"] == 3
    with np.load(tmp_path / FEATURES) as kept:
        assert kept["features"].shape == (kept["lengths"].sum(), 160)
        assert list(kept["owners"]) == [0, 1, 2, 0, 1, 2]
    train_speaker_nano(tmp_path, "encoder", recipe=recipe)
    target = train_speaker_nano(tmp_path, "export", recipe=recipe)["stages"]["export"]["model"]
    encoder = load_speaker_encoder(target)
    assert encoder.dimensions == DIMENSIONS
    assert encoder.embed(Speaker("a", "flite", "rms").say("good morning")).shape == (DIMENSIONS,)
    with pytest.raises(InputError, match="no stage"):
        train_speaker_nano(tmp_path, "magic")
    with pytest.raises(InputError, match="stage 'data' first"):
        train_speaker_nano(tmp_path / "empty", "encoder")


def test_features_have_the_networks_shape(flite_here):
    clip = Speaker("a", "flite", "slt").say("good morning")
    found = features_of(feature_extractor(), clip)
    assert found.shape[1] == build_speaker().config.feature_projection_input_dim
    assert len(found) == pytest.approx(clip.duration_s * 50, abs=3)


def test_the_network_pools_what_its_docstring_says():
    model = build_speaker()
    features = np.random.default_rng(0).standard_normal((40, 160)).astype(np.float32)
    rows = (features - features.mean(1, keepdims=True)) / np.sqrt(
        features.var(1, keepdims=True) + model.config.layer_norm_eps
    )
    found = statistics_of(model, features)
    means, spreads = np.split(found, 2)
    assert means[:160] == pytest.approx(np.maximum(rows, 0).mean(0), abs=1e-5)
    assert means[160:320] == pytest.approx(np.maximum(-rows, 0).mean(0), abs=1e-5)
    assert spreads[:160] == pytest.approx(np.maximum(rows, 0).std(0, ddof=1), abs=1e-5)


def test_directions_find_speakers_under_stronger_noise():
    source = np.random.default_rng(0)
    owners = np.repeat(np.arange(12), 40)
    vectors = source.standard_normal((480, 20)) * np.array([0.2] * 3 + [2.0] * 17)
    vectors[:, :3] += source.standard_normal((12, 3))[owners]
    mean, directions = discriminants(vectors, owners, 3)
    assert np.abs(directions[:3]).mean() > 20 * np.abs(directions[3:]).mean()

    def recognized(found):
        centres = np.stack([found[owners == owner].mean(0) for owner in range(12)])
        nearest = ((found[:, None] - centres) ** 2).sum(-1).argmin(1)
        return (nearest == owners).mean()

    assert recognized((vectors - mean) @ directions) > 0.8 > 0.6 > recognized(vectors)


def test_a_fitted_network_is_the_projection_of_its_statistics():
    source = np.random.default_rng(0)
    clips = [source.standard_normal((60, 160)) + number for number in range(4) for _ in range(3)]
    owners = np.repeat(np.arange(4), 3)
    model = fit_speaker(clips, owners)
    with torch.no_grad():
        made = model(torch.from_numpy(clips[0].astype(np.float32))[None])
    pooled = torch.from_numpy(statistics_of(model, clips[0].astype(np.float32)))
    layer = model.feature_extractor
    assert torch.allclose(made.embeddings[0], layer.weight @ pooled + layer.bias, atol=1e-4)


@espeak
def test_sample_voices_are_written_with_their_words(tmp_path, flite_here):
    write_voices(tmp_path, clips=1)
    listing = json.loads((tmp_path / LISTING).read_text())
    assert len(listing) == len(sample_speakers())
    for voice in listing:
        assert (tmp_path / voice["clips"][0]["file"]).is_file()


def test_the_shipped_voices_and_encoder_fit_together():
    voices = sample_voices()
    assert [voice.name for voice in voices] == [speaker.name for speaker in sample_speakers()]
    assert [voice.made_by for voice in voices] == [s.made_by for s in sample_speakers()]
    for voice in voices:
        assert [clip.text for clip in voice.clips] == [clip.text for clip in voices[0].clips]
        assert all(is_held_out(clip.text) for clip in voice.clips)
        assert all(1 < clip.audio.duration_s < 6 for clip in voice.clips)
    encoder = load_speaker_encoder()
    mine = {voice.name: [encoder.embed(c.audio) for c in voice.clips[:3]] for voice in voices[:4]}
    for name, clips in mine.items():
        own = similarity(clips[0], clips[1])
        assert all(own > similarity(clips[0], other[1]) for n, other in mine.items() if n != name)


def test_the_card_says_how_well_it_tells_voices_apart():
    card = (data_dir() / "models" / "speaker-nano" / "README.md").read_text(encoding="utf-8")
    assert "| all |" in card
    assert "through mimi-nano" in card
    assert "never heard a person" in card
