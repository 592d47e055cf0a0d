import numpy as np
import pytest

from tests.cloning.test_assessment import recording, with_pauses
from tests.turn_sounds import LevelVad, buzz
from workbench.audio import Audio
from workbench.cloning.references import (
    CHUNK_S,
    NOT_STATED,
    RATE_HZ,
    TARGET_LUFS,
    chunks,
    prepare,
)
from workbench.engines.asr.transcript import Transcript
from workbench.errors import InputError
from workbench.quality.levels import loudness_lufs

TEXT = "good morning how are you today my dear old friend"


class Ear:
    """Hears always the same."""

    name = "ear"

    def __init__(self, text):
        self.text = text
        self.heard = []

    def transcribe(self, audio, *, words=False):
        self.heard.append(audio)
        return Transcript(
            self.text, (), "en", audio.duration_s, 1.0, 30.0, "ear", "none", "made up", "float32"
        )


def prepared(audio, text=None, ear=None, **options):
    ear = ear or Ear(TEXT)
    return prepare(recording(audio), text, recognizer=ear, detector=LevelVad(), **options)


def test_a_reference_is_mono_speech_at_the_models_rate_and_loudness():
    audio = with_pauses(Audio(0.5 * buzz(5).samples, 16_000))
    found = prepared(audio, TEXT, consent="mine", voice=3)
    (reference,) = found.references
    assert reference.audio.rate_hz == RATE_HZ
    assert reference.audio.duration_s == pytest.approx(5.2, abs=0.2)
    assert loudness_lufs(reference.audio) == pytest.approx(TARGET_LUFS, abs=0.5)
    assert (reference.text, reference.voice) == (TEXT, 3)
    assert found.transcribed_by is None
    assert "consent: mine" in found.statement
    about = found.about()
    assert about["sha256"] == "0" * 64
    assert about["consent"] == "mine"
    assert about["verdict"] == "ok"


def test_levelling_never_clips():
    spiky = with_pauses(Audio(0.4 * buzz(5).samples, 16_000)).samples.copy()
    spiky[20_000] = 0.99
    found = prepared(Audio(spiky, 16_000), TEXT, check_transcript=False)
    assert found.audio.peak_dbfs <= -0.5


def test_without_a_transcript_every_chunk_is_transcribed():
    ear = Ear(TEXT)
    found = prepared(with_pauses(buzz(24)), ear=ear)
    assert len(found.references) == len(ear.heard) >= 3
    assert all(one.audio.duration_s <= CHUNK_S for one in found.references)
    assert found.transcribed_by == "ear"
    assert found.consent == NOT_STATED
    assert prepared(with_pauses(buzz(24))).audio.duration_s == pytest.approx(24, abs=0.5)


def test_a_transcript_is_checked_unless_it_is_trusted():
    ear = Ear("something else altogether")
    with pytest.raises(InputError, match="ear heard"):
        prepared(with_pauses(buzz(5)), TEXT, ear)
    ear.heard.clear()
    found = prepared(with_pauses(buzz(5)), TEXT, ear, check_transcript=False)
    assert ear.heard == []
    assert found.assessment.verdict == "ok"


def test_of_a_long_recording_only_so_much_is_used_and_its_transcript_made_anew():
    ear = Ear(TEXT)
    found = prepared(with_pauses(buzz(24)), 4 * TEXT, ear, longest_s=8.0)
    assert found.audio.duration_s == pytest.approx(8, abs=0.1)
    assert found.transcribed_by == "ear"
    assert [finding.name for finding in found.assessment.findings] == ["long"]


def test_what_is_refused_says_why():
    with pytest.raises(InputError, match=r"a\.wav can't be cloned from: it is 0\.2 s long"):
        prepared(buzz(0.2), TEXT)
    with pytest.raises(InputError, match="ear heard no words"):
        prepared(with_pauses(buzz(5)), ear=Ear("  "))


def test_a_recognizer_is_loaded_only_where_one_is_needed():
    def load():
        raise AssertionError("loaded")

    prepare(
        recording(with_pauses(buzz(5))),
        TEXT,
        recognizer=load,
        check_transcript=False,
        detector=LevelVad(),
    )
    with pytest.raises(AssertionError, match="loaded"):
        prepare(recording(with_pauses(buzz(5))), recognizer=load, detector=LevelVad())


def test_chunks_lose_nothing_and_cut_where_it_is_quiet():
    quiet = Audio(np.zeros(8_000, np.float32), 16_000)
    audio = Audio.concatenate([buzz(7), quiet, buzz(8)])
    parts = chunks(audio)
    assert len(parts) == 2
    assert np.array_equal(Audio.concatenate(parts).samples, audio.samples)
    assert parts[0].duration_s == pytest.approx(7.25, abs=0.3)
    assert chunks(buzz(3))[0].duration_s == 3
