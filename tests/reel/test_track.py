"""The track: silence trimmed, pauses exact, spans where sound is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.reel.track import (
    LEAD_S,
    TAIL_S,
    WINDOW_S,
    Piece,
    Span,
    assemble,
    onset_errors_ms,
    speech_span,
)

RATE_HZ = 16_000
SECONDS = st.floats(0, 1.5)
TONE_S = st.floats(0.1, 1)


def burst(before_s, tone_s, after_s, level=0.3, rate_hz=RATE_HZ, noise=0.0):
    time_s = np.arange(round(tone_s * rate_hz)) / rate_hz
    tone = level * np.sin(2 * np.pi * 300 * time_s)
    lead, tail = np.zeros(round(before_s * rate_hz)), np.zeros(round(after_s * rate_hz))
    made = np.concatenate([lead, tone, tail])
    return Audio(made + noise * np.random.default_rng(0).standard_normal(len(made)), rate_hz)


@settings(deadline=None, max_examples=50)
@given(SECONDS, TONE_S, SECONDS, st.floats(0.02, 0.9))
def test_speech_is_found_to_a_window(before_s, tone_s, after_s, level):
    found = speech_span(burst(before_s, tone_s, after_s, level, noise=1e-4))
    window = WINDOW_S * RATE_HZ
    assert abs(found.start - before_s * RATE_HZ) <= window + 1
    assert abs(found.end - (before_s + tone_s) * RATE_HZ) <= window + 1


def test_silence_and_pops_hold_no_speech():
    assert speech_span(Audio(np.zeros(8_000), RATE_HZ)) is None
    assert speech_span(Audio(np.zeros(3), RATE_HZ)) is None
    quiet = Audio(1e-4 * np.random.default_rng(0).standard_normal(8_000), RATE_HZ)
    assert speech_span(quiet) is None
    popped = burst(0.5, 0.5, 0.5).samples.copy()
    popped[1_000] = 0.05  # one sample above -40 dBFS
    assert speech_span(Audio(popped, RATE_HZ)).start >= 0.49 * RATE_HZ


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(SECONDS, TONE_S, SECONDS, st.floats(0, 1.0)), min_size=1, max_size=6),
    st.sampled_from([16_000, 24_000]),
)
def test_spans_are_where_the_sound_is(bursts, rate_hz):
    """Against the known places: also where a segment is of another rate than the track."""
    pieces = [Piece(burst(a, tone, b), pause) for a, tone, b, pause in bursts]
    track, spans = assemble(pieces, rate_hz)
    tolerance = (WINDOW_S + 0.002) * rate_hz
    at = 0.0
    for (before_s, tone_s, after_s, pause_s), span in zip(bursts, spans, strict=True):
        start = at + min(before_s, LEAD_S) * rate_hz
        assert abs(span.start - start) <= 2 * tolerance  # the span before may end a window off
        # ... and so may its own start and its own end
        assert abs(span.end - start - tone_s * rate_hz) <= 3 * tolerance
        at = span.end + min(after_s, TAIL_S) * rate_hz + pause_s * rate_hz
    assert abs(track.duration_s - (at / rate_hz - bursts[-1][3])) <= 0.05
    assert all(abs(error) <= 80 for error in onset_errors_ms(track, spans))


def test_the_pause_is_exact():
    pieces = [Piece(burst(0.3, 0.5, 0.4), 0.7), Piece(burst(0.2, 0.5, 0.3), 9.0)]
    track, (first, second) = assemble(pieces, RATE_HZ)
    assert second.start - first.end == round((TAIL_S + 0.7 + LEAD_S) * RATE_HZ)
    assert len(track) - second.end == round(TAIL_S * RATE_HZ)
    between = track.samples[first.end : second.start]
    assert np.abs(between).max() == 0


def test_a_piece_without_speech_stays_whole():
    silent = Piece(Audio(np.zeros(RATE_HZ), RATE_HZ), 0.5)
    track, spans = assemble([silent, Piece(burst(0.1, 0.2, 0.1), 0)], RATE_HZ)
    assert spans[0] == Span(0, RATE_HZ)
    assert len(onset_errors_ms(track, spans)) == 1
    with pytest.raises(InputError, match="no segments"):
        assemble([], RATE_HZ)


def test_cuts_don_t_click():
    """A segment that hums all along is cut in its hum: it fades in and out."""
    humming = burst(0.5, 0.5, 0.5).samples + 0.004 * np.ones(round(1.5 * RATE_HZ))
    track, _ = assemble([Piece(Audio(humming, RATE_HZ), 0.2)] * 2, RATE_HZ)
    quiet = np.abs(track.samples) < 0.01
    steps = np.abs(np.diff(track.samples))[quiet[1:] & quiet[:-1]]
    assert steps.max() < 0.002


def test_a_late_caption_is_noticed():
    track, (span,) = assemble([Piece(burst(0, 0.5, 0.5), 0)], RATE_HZ)
    late = Span(span.start + round(0.1 * RATE_HZ), span.end)
    assert onset_errors_ms(track, [late])[0] == pytest.approx(100, abs=60)
