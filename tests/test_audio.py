import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from workbench.audio import Audio
from workbench.errors import InputError, OutputError

RATE_HZ = 24_000


def tone(seconds=0.5, level=0.5, hz=440.0):
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return Audio(level * np.sin(2 * np.pi * hz * time), RATE_HZ)


def test_levels_of_a_sine():
    sine = tone(level=0.5)
    assert sine.duration_s == 0.5
    assert sine.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert sine.rms_dbfs == pytest.approx(-9.03, abs=0.02)


def test_silence_has_no_onset_and_no_level():
    silence = Audio(np.zeros(100), RATE_HZ)
    assert silence.audible_onset_s is None
    assert silence.peak_dbfs == silence.rms_dbfs == float("-inf")
    assert Audio(np.zeros(0), RATE_HZ).peak_dbfs == float("-inf")


@given(st.integers(0, 2_000), st.floats(0.011, 1.0))
def test_onset_is_the_first_sample_above_40_db(quiet, level):
    samples = np.concatenate([np.full(quiet, 0.009), [level], np.zeros(5)])
    assert Audio(samples, RATE_HZ).audible_onset_s == quiet / RATE_HZ


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_files_come_back(tmp_path, suffix):
    path = tone().write(tmp_path / "sub" / f"a{suffix}")
    back = Audio.read(path)
    assert back.rate_hz == RATE_HZ
    assert np.abs(back.samples - tone().samples).max() < 1e-4
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_stereo_is_averaged(tmp_path):
    soundfile.write(tmp_path / "s.wav", np.array([[0.5, -0.5], [0.25, 0.75]]), RATE_HZ)
    assert Audio.read(tmp_path / "s.wav").samples == pytest.approx([0.0, 0.5], abs=1e-4)


def test_mp3_keeps_the_level():
    loud, quiet = len(tone(level=0.9).encoded("MP3")), tone(level=0.09).encoded("MP3")
    assert loud > 0
    import io

    samples, _ = soundfile.read(io.BytesIO(quiet))
    assert np.abs(samples).max() == pytest.approx(0.09, rel=0.15)


def test_resampling_keeps_duration_and_level():
    half = tone().resampled(16_000)
    assert half.duration_s == pytest.approx(0.5, abs=1e-3)
    assert half.rms_dbfs == pytest.approx(tone().rms_dbfs, abs=0.1)


@pytest.mark.parametrize(
    ("samples", "rate_hz", "named"),
    [
        (np.zeros((2, 3)), RATE_HZ, "mono"),
        (np.array([0.0, np.nan]), RATE_HZ, "NaN"),
        (np.zeros(3), 0, "rate"),
    ],
)
def test_what_is_not_mono_finite_sound_is_refused(samples, rate_hz, named):
    with pytest.raises(InputError, match=named):
        Audio(samples, rate_hz)


def test_bad_files_are_named(tmp_path):
    with pytest.raises(InputError, match="no sound file"):
        Audio.read(tmp_path / "missing.wav")
    (tmp_path / "text.wav").write_text("not sound")
    with pytest.raises(InputError, match="text.wav"):
        Audio.read(tmp_path / "text.wav")
    with pytest.raises(InputError, match="suffix"):
        tone().write(tmp_path / "a.xyz")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't write"):
        tone().write(tmp_path / "file" / "a.wav")


def test_rates_are_not_mixed():
    with pytest.raises(InputError, match="rates"):
        Audio.concatenate([tone(), tone().resampled(16_000)])
