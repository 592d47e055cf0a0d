"""Windows of any length, and recordings cut into them."""

import numpy as np
import pytest
import torch

from tests import tiny_whisper
from workbench.finetune.nano.whisper_tokenizer import build_tokenizer
from workbench.models.whisper.window import RATE_HZ, encode, window_frames, windows


def test_a_full_window_is_what_transformers_computes():
    model = tiny_whisper.model(build_tokenizer(330, sentences=50))
    features = torch.randn(2, 80, 3000, generator=torch.manual_seed(0))
    with torch.inference_mode():
        wanted = model.model.encoder(features).last_hidden_state
        assert torch.equal(encode(model, features), wanted)
        assert encode(model, features[..., :300]).shape == (2, 150, 32)


@pytest.mark.parametrize(
    ("seconds", "margin_s", "frames"),
    [(0.0, 0.0, 50), (1.0, 0.5, 150), (1.01, 0.5, 200), (29.9, 0.5, 3000), (30.0, 5.0, 3000)],
)
def test_lengths_of_windows(seconds, margin_s, frames):
    assert window_frames(round(seconds * RATE_HZ), margin_s) == frames


def test_windows_hold_every_sample_once_and_are_never_too_long():
    samples = np.random.default_rng(0).standard_normal(RATE_HZ * 95).astype(np.float32)
    found = list(windows(samples, 30.0))
    assert np.array_equal(np.concatenate([piece for _, piece in found]), samples)
    assert max(len(piece) for _, piece in found) <= 30 * RATE_HZ
    starts = np.cumsum([0, *(len(piece) for _, piece in found)])[:-1] / RATE_HZ
    assert [start for start, _ in found] == pytest.approx(starts.tolist())


def test_cuts_lie_in_the_quiet():
    samples = np.ones(RATE_HZ * 40, np.float32)
    samples[28 * RATE_HZ : 28 * RATE_HZ + 3200] = 0
    (_, first), _ = windows(samples, 30.0)
    assert 28.0 < len(first) / RATE_HZ < 28.2


def test_a_short_recording_is_one_window():
    assert [start for start, _ in windows(np.zeros(100, np.float32))] == [0.0]
