"""Levels and loudness of signals whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.quality.signals import RATE_HZ, noise, tone
from workbench.audio import Audio
from workbench.quality.levels import levels, loudness_lufs


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


def test_loudness_of_the_recommendations_tone():
    # BS.1770: a full-scale sine of 997 Hz reads -3.01 LUFS; pyloudnorm's filters allow 0.1.
    assert loudness_lufs(tone(997, 2)) == pytest.approx(-3.01, abs=0.1)
    assert loudness_lufs(tone(997, 2, level=0.1)) == pytest.approx(-23.01, abs=0.1)


def test_loudness_follows_the_level_and_leaves_pauses_out():
    clip, pause = noise(1.0), Audio(np.zeros(RATE_HZ), RATE_HZ)
    found = loudness_lufs(clip)
    assert loudness_lufs(Audio(clip.samples / 2, RATE_HZ)) == pytest.approx(found - 6.02, abs=0.01)
    # Blocks that straddle the pause stay in, so a little less than the sound alone.
    assert loudness_lufs(Audio.concatenate([clip, pause])) == pytest.approx(found, abs=1.5)
    assert Audio.concatenate([clip, pause]).rms_dbfs == pytest.approx(clip.rms_dbfs - 3.01, abs=0.1)


def test_silence_and_short_sound_have_no_loudness():
    assert loudness_lufs(Audio(np.zeros(RATE_HZ), RATE_HZ)) is None
    assert loudness_lufs(tone(997, 0.3)) is None
    assert loudness_lufs(tone(997, 0.4)) == pytest.approx(-3.01, abs=0.5)
