"""Recordings that one shouldn't clone from, made of a good one, and what is said of each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.audio import Audio
from workbench.cloning.assessment import Finding
from workbench.cloning.recording import read_recording
from workbench.cloning.references import judge
from workbench.cloning.voices import sample_voices
from workbench.engines.asr.transcript import Recognizer
from workbench.engines.speech import Reference
from workbench.engines.turns.vad import VoiceActivityDetector
from workbench.errors import InputError
from workbench.files import atomic_path, write_bytes

LONG_S = 3 * 3_600.0
_WRONG = "the committee adjourned before anybody could object"


@dataclass(frozen=True)
class FaultyRecording:
    """A sound file with one fault, and the transcript that a user would give with it."""

    fault: str
    path: Path
    text: str


def good_recording(clips: int = 3, pause_s: float = 0.5) -> Reference:
    """A recording that nothing is wrong with: a sample voice, with pauses between sentences."""
    said = sample_voices()[0].clips[:clips]
    rate_hz = said[0].audio.rate_hz
    pause = Audio(np.zeros(round(pause_s * rate_hz), np.float32), rate_hz)
    parts = [part for clip in said for part in (pause, clip.audio)]
    return Reference(Audio.concatenate([*parts, pause]), ", ".join(clip.text for clip in said))


def faulty_recordings(
    folder: Path, good: Reference, long_s: float = LONG_S
) -> list[FaultyRecording]:
    """Writes ``good`` and ten faulty versions of it into ``folder``."""
    audio, text = good.audio, good.text
    rate_hz = audio.rate_hz
    source = np.random.default_rng(0)
    noise = source.standard_normal(len(audio)).astype(np.float32)
    loudest = int(np.abs(audio.samples[:-rate_hz]).argmax())
    level = float(np.sqrt(np.mean(np.square(audio.samples))))
    makers: dict[str, Callable[[Path], object]] = {
        "no fault": audio.write,
        "silence": Audio(np.zeros(len(audio)), rate_hz).write,
        "noise only": Audio(0.05 * noise, rate_hz).write,
        "noise under speech": Audio(np.clip(audio.samples + level * noise, -1, 1), rate_hz).write,
        "0.2 s": Audio(audio.samples[loudest : loudest + rate_hz // 5], rate_hz).write,
        "very long": lambda path: _long(path, audio, long_s),
        "8 kHz": audio.resampled(8_000).write,
        "stereo of opposite phases": lambda path: _stereo(path, audio),
        "clipped": Audio(np.clip(20 * audio.samples, -0.9, 0.9), rate_hz).write,
        "wrong transcript": audio.write,
        "corrupt file": lambda path: write_bytes(path, source.bytes(5_000)),
    }
    found = []
    for fault, make in makers.items():
        suffix = "flac" if fault == "very long" else "wav"
        path = folder / f"{fault.replace(' ', '-').replace('.', '_')}.{suffix}"
        make(path)
        found.append(FaultyRecording(fault, path, _WRONG if fault == "wrong transcript" else text))
    return found


def verdicts(
    recordings: list[FaultyRecording],
    recognizer: Recognizer,
    detector: VoiceActivityDetector | None = None,
) -> list[dict[str, Any]]:
    """One row a recording: the verdict, why, and what to do."""
    return [{"recording": one.fault, **_row(one, recognizer, detector)} for one in recordings]


def fault_table(
    good: Reference, recognizer: Recognizer, long_s: float = LONG_S
) -> list[dict[str, Any]]:
    """The verdicts of ``good`` and its faulty versions, which are made and thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        return verdicts(faulty_recordings(Path(folder), good, long_s), recognizer)


def _row(
    one: FaultyRecording, recognizer: Recognizer, detector: VoiceActivityDetector | None
) -> dict[str, Any]:
    try:
        found = judge(read_recording(one.path), one.text, recognizer, detector)
    except InputError as problem:
        return {"verdict": "refused", "what": problem.what, "remedy": problem.remedy}
    worst: list[Finding] = sorted(found.findings, key=lambda finding: finding.severity)
    return {
        "verdict": found.verdict,
        "what": "; ".join(finding.what for finding in worst) or "nothing wrong with it",
        "remedy": "; ".join(dict.fromkeys(finding.remedy for finding in worst)) or "–",
    }


def _stereo(path: Path, audio: Audio) -> None:
    import soundfile

    with atomic_path(path) as temporary:
        soundfile.write(temporary, np.stack([audio.samples, -audio.samples], 1), audio.rate_hz)


def _long(path: Path, audio: Audio, long_s: float) -> None:
    """``audio``, then silence up to ``long_s``, block by block."""
    import soundfile

    block = np.zeros(60 * audio.rate_hz, np.float32)
    with (
        atomic_path(path) as temporary,
        soundfile.SoundFile(temporary, "w", audio.rate_hz, channels=1) as file,
    ):
        file.write(audio.samples)
        for _ in range(round(long_s / 60)):
            file.write(block)
