"""Each bad recording gets its verdict, and a good one none."""

import numpy as np
import pytest
import soundfile

from tests.turn_sounds import LevelVad, buzz
from workbench.audio import Audio
from workbench.cloning.assessment import assess, clipped_share, speech_spans, transcript_findings
from workbench.cloning.recording import SCAN_S, Recording, read_recording
from workbench.errors import InputError


def recording(audio, **changes):
    values = {"name": "a.wav", "sha256": "0" * 64, "duration_s": audio.duration_s, "channels": 1}
    return Recording(audio=audio, **{**values, **changes})


def with_pauses(audio, noise=0.0):
    """Half a second before and after, with noise under all of it."""
    pause = np.zeros(audio.rate_hz // 2, np.float32)
    samples = np.concatenate([pause, audio.samples, pause])
    samples += noise * np.random.default_rng(0).standard_normal(len(samples)).astype(np.float32)
    return Audio(samples, audio.rate_hz)


def judged(audio, **changes):
    found = assess(recording(audio, **changes), LevelVad())
    return found.verdict, [finding.name for finding in found.findings]


def test_a_good_recording_has_nothing_wrong_with_it():
    found = assess(recording(with_pauses(buzz(5), 1e-4)), LevelVad())
    assert found.findings == ()
    assert found.verdict == "ok"
    assert found.speech_s == pytest.approx(5, abs=0.5)
    assert found.snr_db > 40


@pytest.mark.parametrize(
    ("audio", "verdict", "name"),
    [
        (Audio(np.zeros(80_000), 16_000), "refused", "silent"),
        (Audio(1e-3 * np.random.default_rng(0).standard_normal(80_000), 16_000), "refused",
         "no speech"),
        (buzz(0.2), "refused", "short"),
        (with_pauses(buzz(0.6)), "refused", "short"),
        (with_pauses(buzz(1.5)), "usable", "short"),
        (with_pauses(buzz(5)).resampled(8_000), "usable", "narrow band"),
        (Audio(with_pauses(buzz(5)).samples[::4], 4_000), "refused", "narrow band"),
        (Audio(np.clip(8 * with_pauses(buzz(5)).samples, -0.9, 0.9), 16_000), "refused", "clipped"),
        (with_pauses(buzz(5), 0.008), "usable", "noisy"),
    ],
)  # fmt: skip
def test_each_fault_is_named(audio, verdict, name):
    assert judged(audio) == (verdict, [name])


def test_several_channels_and_long_ones_are_told():
    audio = with_pauses(buzz(5))
    assert judged(audio, channels=2) == ("usable", ["several channels"])
    assert judged(audio, duration_s=3 * 3600.0) == ("usable", ["long"])


def test_findings_say_what_to_do():
    found = assess(recording(buzz(0.2)), LevelVad())
    assert "0.2 s long" in str(found)
    assert "give 3 to 30 s of speech" in str(found)


def test_transcripts_that_cannot_be():
    assert transcript_findings("good morning how are you", 2.0, None, "") == []
    (fast,) = transcript_findings("good morning how are you" * 9, 2.0, None, "")
    (slow,) = transcript_findings("hi", 5.0, None, "")
    assert fast.severity == slow.severity == "refused"
    same = transcript_findings("Good morning, how are you?", 2.0, "good morning how are you", "w")
    assert same == []
    (other,) = transcript_findings("good morning how are you", 2.0, "the train has left", "w")
    assert other.severity == "refused"
    assert "the train has left" in other.what
    (some,) = transcript_findings("good morning how are you", 2.0, "good morning who is", "w")
    assert some.severity == "warning"


def test_short_pauses_belong_to_speech():
    gap = Audio(np.zeros(1_600, np.float32), 16_000)  # 0.1 s
    pause = Audio(np.zeros(24_000, np.float32), 16_000)
    audio = Audio.concatenate([pause, buzz(1), gap, buzz(1), pause, buzz(1), pause])
    spans = speech_spans(audio, LevelVad())
    assert len(spans) == 2
    assert spans[0] == pytest.approx((1.4, 3.7), abs=0.2)
    assert all(start < end for start, end in spans)


def test_clipping_is_found_after_a_change_of_level_and_not_in_speech():
    clean = buzz(2)
    cut = Audio(0.3 * np.clip(6 * clean.samples, -0.5, 0.5), clean.rate_hz)
    assert clipped_share(clean) < 1e-3
    assert clipped_share(cut) > 0.02
    assert clipped_share(Audio(np.zeros(0), 16_000)) == 0


def test_reading_brings_channels_together(tmp_path):
    audio = buzz(2)
    both = np.stack([audio.samples, 0.5 * audio.samples], 1)
    soundfile.write(tmp_path / "a.wav", both, audio.rate_hz, subtype="FLOAT")
    found = read_recording(tmp_path / "a.wav")
    assert found.channels == 2
    assert not found.cancels
    assert np.allclose(found.audio.samples, 0.75 * audio.samples, atol=1e-6)
    soundfile.write(tmp_path / "b.wav", np.stack([both[:, 1], -both[:, 0]], 1), audio.rate_hz)
    found = read_recording(tmp_path / "b.wav")
    assert found.cancels
    assert np.allclose(found.audio.samples, -audio.samples, atol=1e-3)


def test_only_the_beginning_of_a_long_file_is_read(tmp_path):
    with soundfile.SoundFile(tmp_path / "a.flac", "w", 8_000, 1) as file:
        file.write(np.zeros(int(8_000 * (SCAN_S + 60)), np.float32))
    found = read_recording(tmp_path / "a.flac")
    assert found.audio.duration_s == SCAN_S
    assert found.duration_s == SCAN_S + 60


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all" * 100])
def test_corrupt_files_are_named(content, tmp_path):
    path = tmp_path / "broken.wav"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.wav"):
        read_recording(path)
    with pytest.raises(InputError, match="no sound file"):
        read_recording(tmp_path / "missing.wav")


def test_text_under_a_sounds_name_is_no_missing_file(tmp_path):
    path = tmp_path / "notes.mp3"
    path.write_text("hello")
    with pytest.raises(InputError, match=r"notes\.mp3") as caught:
        read_recording(path)
    assert "not exist" not in str(caught.value)
