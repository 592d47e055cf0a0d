"""The multi-scale distance against signals whose order is known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.quality.signals import RATE_HZ, noise, tone
from workbench.audio import Audio
from workbench.errors import InputError
from workbench.quality.multi_scale import multi_scale_distance


def test_equal_sound_has_no_distance():
    found = multi_scale_distance(noise(), noise())
    assert (found.spectral_convergence, found.log_magnitude, found.total) == (0, 0, 0)


def test_half_the_level_is_half_the_norm_and_log_two():
    clip = noise()
    found = multi_scale_distance(clip, Audio(clip.samples / 2, RATE_HZ))
    assert found.spectral_convergence == pytest.approx(0.5, abs=1e-6)
    assert found.log_magnitude == pytest.approx(np.log(2), abs=1e-3)
    assert found.total == found.spectral_convergence + found.log_magnitude


def test_it_orders_what_ears_order():
    clip = noise()
    near, far = (
        Audio(clip.samples + noise(level=level, seed=1).samples, RATE_HZ) for level in (0.01, 0.1)
    )
    distances = [multi_scale_distance(clip, other).total for other in (near, far, tone(2_000))]
    assert 0 < distances[0] < distances[1] < distances[2]


def test_a_click_and_a_detuned_tone_are_both_seen():
    clip = tone(1_000, level=0.1)
    clicked = clip.samples.copy()
    clicked[12_000] += 0.5
    assert multi_scale_distance(clip, Audio(clicked, RATE_HZ)).log_magnitude > 0.01
    assert multi_scale_distance(clip, tone(1_010, level=0.1)).spectral_convergence > 0.1


def test_silence_is_finite_and_short_clips_do():
    silence = Audio(np.zeros(RATE_HZ), RATE_HZ)
    assert np.isfinite(multi_scale_distance(silence, noise()).total)
    assert multi_scale_distance(silence, silence).total == 0
    assert multi_scale_distance(tone(500, 0.01), tone(600, 0.01)).total > 0


def test_common_time_counts_and_other_rates_are_refused():
    clip = noise()
    assert multi_scale_distance(clip, Audio(clip.samples[:9_000], RATE_HZ)).total == 0
    with pytest.raises(InputError):
        multi_scale_distance(clip, Audio(clip.samples, 16_000))
    with pytest.raises(InputError):
        multi_scale_distance(clip, Audio(np.zeros(0), RATE_HZ))
