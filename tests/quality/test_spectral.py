"""Spectral measures against signals whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.quality.signals import RATE_HZ, noise, tone
from workbench.audio import Audio
from workbench.errors import InputError
from workbench.quality.spectral import (
    FLOOR_DB,
    MEL_BANDS,
    log_mel,
    log_mel_distance_db,
    mel_filterbank,
)


def test_every_mel_filter_lets_something_through():
    for rate_hz in (16_000, 22_050, 24_000, 44_100):
        filters = mel_filterbank(rate_hz)
        assert filters.shape == (MEL_BANDS, 513)
        assert (filters.sum(axis=1) > 0).all()
        assert filters.min() == 0
        assert filters.max() <= 1


def test_a_full_scale_tone_stands_near_0_db_in_its_band():
    bands = log_mel(tone(1_000)).mean(axis=1)
    centres_hz = mel_filterbank(RATE_HZ).argmax(axis=1) * RATE_HZ / 1024
    assert centres_hz[bands.argmax()] == pytest.approx(1_000, abs=40)
    assert -3 < bands.max() < 3
    assert bands.min() < -60


def test_silence_stands_at_the_floor_and_short_clips_have_one_frame():
    assert (log_mel(Audio(np.zeros(RATE_HZ), RATE_HZ)) == FLOOR_DB).all()
    assert log_mel(Audio(np.zeros(10), RATE_HZ)).shape == (MEL_BANDS, 1)


def test_distance_is_zero_for_the_same_and_the_level_for_a_change_of_level():
    clip = noise()
    assert log_mel_distance_db(clip, clip) == 0
    quieter = Audio(clip.samples / 2, RATE_HZ)
    assert log_mel_distance_db(clip, quieter) == pytest.approx(6.02, abs=0.01)
    assert log_mel_distance_db(quieter, clip) == log_mel_distance_db(clip, quieter)


def test_distance_orders_what_ears_order():
    clip = noise()
    slightly, clearly = (
        Audio(clip.samples + noise(level=level, seed=1).samples, RATE_HZ) for level in (0.01, 0.1)
    )
    others = [slightly, clearly, tone(2_000)]
    distances = [log_mel_distance_db(clip, other) for other in others]
    assert 0 < distances[0] < distances[1] < distances[2]


def test_distance_takes_the_common_time_and_refuses_other_rates():
    clip = noise(1.0)
    assert log_mel_distance_db(clip, Audio(clip.samples[: RATE_HZ // 2], RATE_HZ)) == 0
    with pytest.raises(InputError):
        log_mel_distance_db(clip, Audio(clip.samples, 16_000))
    with pytest.raises(InputError):
        log_mel_distance_db(clip, Audio(np.zeros(0), RATE_HZ))
