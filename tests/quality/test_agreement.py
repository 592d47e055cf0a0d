"""Agreement of codes and samples on clips whose differences are known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.quality.signals import RATE_HZ, tone
from workbench.audio import Audio
from workbench.errors import InputError
from workbench.quality.agreement import identical, max_difference, token_agreement


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
        token_agreement(codes, codes[0])


def test_token_agreement_counts_missing_codebooks_as_unequal():
    codes = np.arange(40).reshape(4, 10)
    fewer = token_agreement(codes, codes[:3])
    assert (fewer.share, fewer.first_divergence) == (0.75, 0)
    assert token_agreement(codes[:3], codes).share == 0.75


def test_one_changed_sample_is_no_longer_identical():
    clip = tone(500, 0.1, level=0.1)
    assert identical(clip, Audio(clip.samples.copy(), RATE_HZ))
    changed = clip.samples.copy()
    changed[777] = np.nextafter(changed[777], 1)
    assert not identical(clip, Audio(changed, RATE_HZ))
    assert not identical(clip, Audio(clip.samples[:-1], RATE_HZ))
    assert not identical(clip, Audio(clip.samples, 16_000))
