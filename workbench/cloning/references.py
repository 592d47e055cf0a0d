"""From a recording to references: trimmed to speech, levelled, cut, transcribed.

mine = prepare("me.wav", consent="my own voice")
print(mine.assessment)
engine.synthesize("good morning", context=mine.references)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from workbench.audio import Audio
from workbench.cloning.assessment import Assessment, Finding, assess, transcript_findings
from workbench.cloning.recording import Recording, read_recording
from workbench.engines.asr.load import load_recognizer
from workbench.engines.asr.transcript import Recognizer
from workbench.engines.speech import Reference
from workbench.engines.turns.vad import VoiceActivityDetector
from workbench.errors import InputError
from workbench.quality.levels import loudness_lufs

RATE_HZ = 24_000  # Mimi's, so that no engine resamples again
TARGET_LUFS = -23.0  # EBU R 128's
LONGEST_S = 30.0  # of speech that is used: more takes up the model's positions
CHUNK_S = 10.0  # VoiceReel's, and about what a recognizer and a model hear at a time
PEAK_DBFS = -1.0  # levelling never goes above
NOT_STATED = "not stated"
_QUIET_S = 0.05  # a cut goes through the quietest moment of this length


@dataclass(frozen=True)
class PreparedVoice:
    """A recording made ready: its ``references``, and what must be known of it.

    ``consent`` is the user's note that the speaker agreed; ``transcribed_by`` names the recognizer
    that wrote the transcript, None where the user gave it.
    """

    name: str
    sha256: str
    consent: str
    assessment: Assessment
    references: tuple[Reference, ...]
    transcribed_by: str | None = None

    @property
    def audio(self) -> Audio:
        """All references one after another."""
        return Audio.concatenate([reference.audio for reference in self.references])

    @property
    def statement(self) -> str:
        """Whose voice is used, in a line."""
        return (
            f"voice of {self.name} (SHA-256 {self.sha256[:12]}…), {self.audio.duration_s:.1f} s; "
            f"consent: {self.consent}"
        )

    def about(self) -> dict[str, Any]:
        """What a record keeps: hash, consent and findings, not the voice."""
        return {
            "recording": self.name,
            "sha256": self.sha256,
            "consent": self.consent,
            "verdict": self.assessment.verdict,
            "findings": [str(finding) for finding in self.assessment.findings],
            "used_s": round(self.audio.duration_s, 3),
            "transcripts": [reference.text for reference in self.references],
            "transcribed_by": self.transcribed_by,
        }


def prepare(
    recording: Recording | Path | str,
    text: str | None = None,
    *,
    voice: int = 0,
    consent: str | None = None,
    recognizer: Recognizer | Callable[[], Recognizer] = load_recognizer,
    check_transcript: bool = True,
    detector: VoiceActivityDetector | None = None,
    longest_s: float = LONGEST_S,
) -> PreparedVoice:
    """Makes references of a recording (or its file) for ``CsmEngine.synthesize(context=…)``.

    They are mono at 24 kHz, hold speech with short pauses only, at -23 LUFS, at most ``longest_s``
    of it. A recording without ``text`` is cut into chunks of at most 10 s, each transcribed by
    ``recognizer`` (default: whisper-nano; a function is called where one is needed); one with a
    text stays whole, and the recognizer only checks the text unless ``check_transcript=False``.
    ``voice`` is the speaker id that the model reads with it.

    Raises InputError for a recording that can't be read or is refused: with why, and a remedy.
    """
    if not isinstance(recording, Recording):
        recording = read_recording(recording)
    assessment = assess(recording, detector)
    _require(assessment)
    whole = _ready(recording.audio, assessment, longest_s)
    complete = _all_used(whole, assessment)
    ears = None
    if text is None or check_transcript or not complete:
        ears = recognizer() if callable(recognizer) else recognizer
    if text is not None:
        listener = ears if check_transcript else None
        assessment = _with_transcript(assessment, whole, text, listener)
        _require(assessment)
    if text is not None and complete:
        return _prepared(recording, consent, assessment, (Reference(whole, text, voice),), None)
    assert ears is not None
    said = [(chunk, ears.transcribe(chunk).text.strip()) for chunk in chunks(whole)]
    references = tuple(Reference(chunk, words, voice) for chunk, words in said if words)
    if not references:
        raise InputError(
            f"{ears.name} heard no words in {recording.name}",
            "give the transcript, or a recognizer that knows its language",
        )
    return _prepared(recording, consent, assessment, references, ears.name)


def judge(
    recording: Recording,
    text: str | None = None,
    recognizer: Recognizer | None = None,
    detector: VoiceActivityDetector | None = None,
) -> Assessment:
    """Judges a recording and, where there is one, its transcript; refuses nothing by itself."""
    found = assess(recording, detector)
    if text is None or found.verdict == "refused":
        return found
    return _with_transcript(found, _ready(recording.audio, found, LONGEST_S), text, recognizer)


def chunks(audio: Audio, longest_s: float = CHUNK_S) -> list[Audio]:
    """``audio`` in parts of at most ``longest_s``, cut at its quietest moments."""
    if audio.duration_s <= longest_s:
        return [audio]
    size = round(_QUIET_S * audio.rate_hz)
    total = np.cumsum(np.square(audio.samples, dtype=np.float64))
    power = total[size:] - total[:-size]  # of the ``size`` samples after each
    third = len(audio) // 3
    cut = third + int(power[third:-third].argmin()) + size // 2
    parts = (audio.samples[:cut], audio.samples[cut:])
    return [c for part in parts for c in chunks(Audio(part, audio.rate_hz), longest_s)]


def _prepared(
    recording: Recording,
    consent: str | None,
    assessment: Assessment,
    references: tuple[Reference, ...],
    transcribed_by: str | None,
) -> PreparedVoice:
    return PreparedVoice(
        recording.name,
        recording.sha256,
        consent or NOT_STATED,
        assessment,
        references,
        transcribed_by,
    )


def _ready(audio: Audio, assessment: Assessment, longest_s: float) -> Audio:
    """The speech of ``audio``, at most ``longest_s``, at the rate and loudness of references."""
    return _levelled(
        Audio.concatenate(_pieces(audio, assessment.speech, longest_s)).resampled(RATE_HZ)
    )


def _all_used(used: Audio, assessment: Assessment) -> bool:
    """Whether the transcript of the recording is that of ``used``: it can't be cut to fit."""
    return used.duration_s >= assessment.speech_s - 0.1


def _with_transcript(
    assessment: Assessment, used: Audio, text: str, recognizer: Recognizer | None
) -> Assessment:
    complete = _all_used(used, assessment)
    heard = recognizer.transcribe(used).text if recognizer and complete else None
    name = recognizer.name if recognizer else ""
    found = transcript_findings(text, assessment.speech_s, heard, name)
    if not complete:
        what = f"only {used.duration_s:.0f} s of its speech are used, which are transcribed anew"
        remedy = "cut recording and transcript to the part to be used"
        found.append(Finding("long", "warning", what, remedy))
    return replace(assessment, findings=(*assessment.findings, *found))


def _require(assessment: Assessment) -> None:
    """Raises InputError with the first reason for which a recording is refused."""
    for finding in assessment.findings:
        if finding.severity == "refused":
            raise InputError(
                f"{assessment.name} can't be cloned from: {finding.what}", finding.remedy
            )


def _pieces(audio: Audio, speech: Sequence[tuple[float, float]], longest_s: float) -> list[Audio]:
    """The stretches of speech, as many as ``longest_s`` holds; at least a part of the first."""
    found: list[Audio] = []
    left_s = longest_s
    for start_s, end_s in speech:
        end_s = min(end_s, start_s + left_s)
        if found and end_s - start_s < 0.5:
            break
        first, last = round(start_s * audio.rate_hz), round(end_s * audio.rate_hz)
        found.append(Audio(audio.samples[first:last], audio.rate_hz))
        left_s -= end_s - start_s
    return found


def _levelled(audio: Audio) -> Audio:
    loudness = loudness_lufs(audio)
    if loudness is None:
        return audio
    gain_db = min(TARGET_LUFS - loudness, PEAK_DBFS - audio.peak_dbfs)
    return Audio(audio.samples * np.float32(10 ** (gain_db / 20)), audio.rate_hz)
