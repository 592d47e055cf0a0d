"""Spectral measures against signals whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.quality.spectral import (
    FLOOR_DB,
    MEL_BANDS,
    levels,
    log_mel,
    log_mel_distance_db,
    max_difference,
    mel_filterbank,
    token_agreement,
)

RATE_HZ = 24_000


def tone(hz: float, seconds: float = 1.0, level: float = 1.0) -> Audio:
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return Audio(level * np.sin(2 * np.pi * hz * time_s), RATE_HZ)


def noise(seconds: float = 1.0, level: float = 0.1, seed: int = 0) -> Audio:
    samples = np.random.default_rng(seed).normal(size=int(seconds * RATE_HZ))
    return Audio(level * samples, RATE_HZ)


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


def test_max_difference_pads_the_shorter():
    assert max_difference(tone(500), tone(500)) == 0
    assert max_difference(Audio([0.5, 0.25], RATE_HZ), Audio([0.5], RATE_HZ)) == 0.25
    assert max_difference(Audio([], RATE_HZ), Audio([], RATE_HZ)) == 0


def test_token_agreement_finds_the_first_frame_that_differs():
    codes = np.arange(40).reshape(4, 10)
    same = token_agreement(codes, codes.copy())
    assert (same.share, same.first_divergence, same.equal) == (1, None, True)
    changed = codes.copy()
    changed[2, 6] = -1
    other = token_agreement(codes, changed)
    assert (other.share, other.first_divergence, other.equal) == (39 / 40, 6, False)


def test_token_agreement_counts_missing_frames_as_unequal():
    codes = np.arange(40).reshape(4, 10)
    shorter = token_agreement(codes, codes[:, :8])
    assert (shorter.share, shorter.first_divergence) == (0.8, 8)
    assert (shorter.frames, shorter.other_frames) == (10, 8)
    assert token_agreement(codes[:, :0], codes[:, :0]).equal
    with pytest.raises(InputError):
        token_agreement(codes, codes[:3])


def test_levels_of_a_tone_between_silences():
    silence = Audio(np.zeros(RATE_HZ // 10), RATE_HZ)
    found = levels(Audio.concatenate([silence, tone(1_000, 0.5, level=0.5), silence, silence]))
    assert found.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert found.leading_silence_s == pytest.approx(0.1, abs=0.001)
    assert found.trailing_silence_s == pytest.approx(0.2, abs=0.001)
    assert found.clipped_samples == 0
    assert found.offset == pytest.approx(0, abs=1e-6)
    assert found.rumble_db < -40


def test_levels_tell_what_is_off_centre():
    found = levels(Audio(0.1 + tone(1_000, level=0.1).samples, RATE_HZ))
    assert found.offset == pytest.approx(0.1, abs=1e-4)
    assert found.rumble_db == pytest.approx(10 * np.log10(2 / 3), abs=0.01)  # 0.01 of 0.015
    assert levels(Audio(np.zeros(0), RATE_HZ)).offset == 0
    assert levels(Audio(np.zeros(100), RATE_HZ)).rumble_db == float("-inf")


def test_levels_of_silence_and_of_clipping():
    silent = levels(Audio(np.zeros(RATE_HZ), RATE_HZ))
    assert silent.rms_dbfs == float("-inf")
    assert (silent.leading_silence_s, silent.trailing_silence_s) == (1, 1)
    assert levels(Audio([0.5, 1.0, -1.0, 1.2], RATE_HZ)).clipped_samples == 3
