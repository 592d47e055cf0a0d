"""Voice-activity detectors: frame by frame as over the whole, and speech from silence."""

import numpy as np
import pytest

from tests.turn_sounds import RATE_HZ, LevelVad, buzz
from workbench.audio import Audio
from workbench.engines.turns.activity import ActivityTracker
from workbench.engines.turns.vad import DETECTORS, load_vad, probabilities
from workbench.errors import InputError, ModelError


def detector(name, **settings):
    try:
        return load_vad(name, **settings)
    except ModelError as problem:
        pytest.skip(problem.what)


def silence(seconds, level=1e-4, rate_hz=RATE_HZ):
    noise = np.random.default_rng(0).standard_normal(round(seconds * rate_hz)) * level
    return Audio(noise.astype(np.float32), rate_hz)


def test_silero_frame_by_frame_is_silero_over_the_whole():
    from faster_whisper.vad import get_vad_model

    samples = Audio.concatenate([silence(0.5), buzz(1.5), silence(0.5)]).samples
    samples = samples[: len(samples) // 512 * 512]
    mine, times_ms = probabilities(load_vad("silero"), Audio(samples, RATE_HZ))
    whole = get_vad_model()(samples.copy()).reshape(-1)
    # Over the whole, faster-whisper blanks the end of the last frame.
    np.testing.assert_allclose(mine[:-1], whole[:-1], atol=1e-5)
    assert len(times_ms) == len(mine) == len(samples) // 512
    assert all(value > 0 for value in times_ms)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_reset_forgets(name):
    vad = detector(name)
    heard = Audio.concatenate([silence(0.3), buzz(0.7)])
    first, _ = probabilities(vad, heard)
    probabilities(vad, buzz(1.0, seed=3))
    again, _ = probabilities(vad, heard)
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("name", DETECTORS)
def test_silence_is_no_speech(name):
    found, _ = probabilities(detector(name), silence(2.0))
    assert found[len(found) // 2 :].max() < 0.5


@pytest.mark.parametrize("frame_ms", [10, 20, 30])
def test_webrtc_hears_a_voiced_sound_and_its_end(frame_ms):
    vad = detector("webrtc", mode=2, frame_ms=frame_ms)
    assert vad.frame_samples == frame_ms * 16
    found, _ = probabilities(vad, Audio.concatenate([silence(1.0), buzz(1.0), silence(1.0)]))
    seconds = np.arange(len(found)) * frame_ms / 1000
    assert set(found) <= {0.0, 1.0}
    assert found[(seconds > 1.2) & (seconds < 1.9)].mean() > 0.8
    assert found[seconds > 2.5].mean() == 0


def test_any_rate_is_resampled_for_a_whole_recording():
    low, _ = probabilities(LevelVad(), buzz(1.0, rate_hz=24_000))
    assert len(low) == 50
    assert low.mean() > 0.9


@pytest.mark.parametrize(
    ("name", "settings", "named"),
    [
        ("magic", {}, "magic"),
        ("silero", {"mode": 1}, "mode"),
        ("webrtc", {"mode": 4}, "mode"),
        ("webrtc", {"frame_ms": 25}, "25"),
        ("webrtc", {"threshold": 1}, "threshold"),
    ],
)
def test_settings_that_cannot_be(name, settings, named):
    with pytest.raises(InputError, match=named):
        load_vad(name, **settings)


@pytest.mark.parametrize("name", DETECTORS)
def test_frames_of_another_length(name):
    vad = detector(name)
    with pytest.raises(InputError, match=str(vad.frame_samples)):
        vad.probability(np.zeros(vad.frame_samples + 1, np.float32))


def test_pieces_of_any_length_give_what_the_whole_gives():
    heard = Audio.concatenate([silence(0.5), buzz(0.8), silence(0.6), buzz(0.5), silence(0.4)])
    whole = ActivityTracker(LevelVad()).push(heard)
    tracker = ActivityTracker(LevelVad())
    pieces = []
    for first in range(0, len(heard), 777):
        pieces += tracker.push(Audio(heard.samples[first : first + 777], RATE_HZ))
    assert pieces == whole


def test_speech_ends_where_it_ends_and_silence_grows_from_there():
    heard = Audio.concatenate([silence(0.5), buzz(0.8), silence(0.6)])
    states = ActivityTracker(LevelVad()).push(heard)
    assert states[0].speech_end_s is None
    assert states[0].silence_s == 0
    assert states[-1].speech_end_s == pytest.approx(1.3, abs=0.03)
    assert states[-1].silence_s == pytest.approx(0.6, abs=0.03)
    assert any(state.speaking and state.silence_s == 0 for state in states)


def test_a_click_does_not_end_a_silence_and_a_dip_ends_speech_only_below_the_lower_threshold():
    tracker = ActivityTracker(LevelVad(), onset_ms=60)
    for value in (1, 1, 1, 0, 0, 0, 1, 1, 0):
        state = tracker.update(value)
    assert state.speech_end_s == pytest.approx(0.06)
    tracker.reset()
    for value in (0.9, 0.9, 0.9, 0.4):
        state = tracker.update(value)
    assert state.speaking
    assert not tracker.update(0.3).speaking


def test_a_tracker_refuses_another_rate_and_a_threshold_that_cannot_be():
    with pytest.raises(InputError, match="24000"):
        ActivityTracker(LevelVad()).push(Audio(np.zeros(10), 24_000))
    with pytest.raises(InputError, match="threshold"):
        ActivityTracker(LevelVad(), threshold=1.5)
