"""Loops in codes: found wherever they begin, and not where something new is said."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.engines.csm.loops import LONGEST_PERIOD, LOOP_FRAMES, loop_end


def speech(frames, seed=0):
    draws = random.Random(seed)
    return [draws.randrange(512) for _ in range(frames)]


@given(st.integers(1, LONGEST_PERIOD), st.integers(0, 80), st.integers(0, 9))
def test_a_loop_is_noticed_once_it_has_lasted(period, before, seed):
    pattern = [1000 + index for index in range(period)]
    codes = speech(before, seed) + pattern * LOOP_FRAMES
    assert loop_end(codes) == before + LOOP_FRAMES


@given(st.integers(0, 200), st.integers(0, 9))
def test_speech_is_no_loop(frames, seed):
    varied = [
        code if index % 20 else 600 + index for index, code in enumerate(speech(frames, seed))
    ]
    assert loop_end(varied) is None


@pytest.mark.parametrize("frames", [1, LOOP_FRAMES - 1])
def test_a_long_vowel_is_no_loop(frames):
    assert loop_end(speech(30) + [7] * frames + speech(30, 1)) is None


def test_a_longer_period_is_a_sentence_said_again():
    pattern = list(range(LONGEST_PERIOD + 1))
    assert loop_end(pattern * 20) is None
