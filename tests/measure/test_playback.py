"""The simulated player against hand-made streams, and its properties for any stream."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.engines.speech import Speech
from workbench.errors import InputError
from workbench.measure.playback import (
    Stall,
    audible_onset_ms,
    needed_prebuffer_ms,
    played,
    simulate_player,
)

RATE_HZ = 24_000
FRAME = 1_920  # 80 ms


def speech(chunks_ms: list[float], samples: np.ndarray | None = None) -> Speech:
    length = FRAME * len(chunks_ms)
    return Speech(
        samples=np.zeros(length, np.float32) if samples is None else samples,
        rate_hz=RATE_HZ,
        text="a test",
        voice=0,
        seed=0,
        codes=np.zeros((8, len(chunks_ms)), np.int64),
        ended="eos",
        generation_ms=chunks_ms[-1],
        chunks_ms=tuple(chunks_ms),
        chunks_samples=(FRAME,) * len(chunks_ms),
        implementation="test",
        weights="none",
    )


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[float], list[int]]:
    steps = draw(st.lists(st.floats(0, 500), min_size=1, max_size=40))
    lengths = draw(st.lists(st.integers(0, 9_600), min_size=len(steps), max_size=len(steps)))
    return [float(arrival) for arrival in np.cumsum(steps)], lengths


def test_a_stream_faster_than_real_time_never_stalls():
    playback = simulate_player([50, 90, 130], [FRAME] * 3, RATE_HZ)
    assert playback.start_ms == 50
    assert playback.played_ms == (50, 130, 210)
    assert playback.end_ms == 290
    assert playback.gaps_ms == (40, 40)
    assert playback.underruns == 0
    assert playback.stalled_ms == 0


def test_a_late_chunk_stalls_the_player_until_it_arrives():
    playback = simulate_player([50, 200, 210], [FRAME] * 3, RATE_HZ)
    assert playback.stalls == (Stall(130, 70),)
    assert playback.played_ms == (50, 200, 280)
    assert playback.end_ms == 360
    assert needed_prebuffer_ms([50, 200, 210], [FRAME] * 3, RATE_HZ) == 70


def test_heard_ms_counts_the_stalls_before_it():
    playback = simulate_player([50, 200, 210], [FRAME] * 3, RATE_HZ)
    assert playback.heard_ms(0) == 50
    assert playback.heard_ms(79) == 129
    assert playback.heard_ms(81) == 201
    assert playback.heard_ms(240) == playback.end_ms


@given(streams())
def test_the_needed_prebuffer_is_enough_and_just_so(stream):
    chunks_ms, samples = stream
    needed = needed_prebuffer_ms(chunks_ms, samples, RATE_HZ)
    assert simulate_player(chunks_ms, samples, RATE_HZ, needed).underruns == 0
    if needed > 0.01:
        assert simulate_player(chunks_ms, samples, RATE_HZ, needed - 0.01).underruns > 0


@given(streams(), st.floats(0, 1_000))
def test_audio_is_played_in_full_with_the_stalls_between(stream, prebuffer_ms):
    chunks_ms, samples = stream
    playback = simulate_player(chunks_ms, samples, RATE_HZ, prebuffer_ms)
    audio_ms = 1000 * sum(samples) / RATE_HZ
    assert playback.end_ms == pytest.approx(
        playback.start_ms + audio_ms + playback.stalled_ms, abs=1e-6
    )
    assert all(
        arrival <= begins + 1e-6
        for arrival, begins in zip(playback.arrivals_ms, playback.played_ms, strict=True)
    )


def test_a_longer_prebuffer_stalls_less():
    chunks_ms, samples = [0.0, 200.0, 400.0, 600.0], [FRAME] * 4
    stalled = [
        simulate_player(chunks_ms, samples, RATE_HZ, prebuffer).stalled_ms
        for prebuffer in (0, 100, 200, 360)
    ]
    assert stalled == [360, 260, 160, 0]


def test_the_audible_onset_waits_for_the_chunk_it_lies_in():
    samples = np.zeros(3 * FRAME, np.float32)
    samples[FRAME + 240 :] = 0.5  # 10 ms into the second chunk
    assert audible_onset_ms(speech([50, 60, 70], samples)) == pytest.approx(50 + 80 + 10)
    assert audible_onset_ms(speech([50, 300, 310], samples)) == pytest.approx(300 + 10)
    assert audible_onset_ms(speech([50, 60, 70], samples), 25) == pytest.approx(165)
    assert audible_onset_ms(speech([50, 60, 70])) is None


def test_played_takes_the_chunks_of_a_speech():
    assert played(speech([50, 200]), prebuffer_ms=70).underruns == 0


@pytest.mark.parametrize(
    ("chunks_ms", "samples", "rate_hz", "prebuffer_ms"),
    [
        ([], [], RATE_HZ, 0),
        ([1.0], [1, 2], RATE_HZ, 0),
        ([2.0, 1.0], [1, 1], RATE_HZ, 0),
        ([1.0], [-1], RATE_HZ, 0),
        ([1.0], [1], 0, 0),
        ([1.0], [1], RATE_HZ, -1),
    ],
)
def test_bad_streams_are_refused(chunks_ms, samples, rate_hz, prebuffer_ms):
    with pytest.raises(InputError):
        simulate_player(chunks_ms, samples, rate_hz, prebuffer_ms)
