"""Is this recording good enough to clone from: findings, each with a remedy, and a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from workbench.audio import Audio
from workbench.cloning.recording import SCAN_S, Recording
from workbench.engines.turns.activity import ActivityTracker
from workbench.engines.turns.vad import VoiceActivityDetector, load_vad
from workbench.quality.wer import edit_distance, normalized_words

Severity = Literal["warning", "refused"]
Verdict = Literal["ok", "usable", "refused"]

SILENT_DBFS = -60.0
LEAST_SPEECH_S, GOOD_SPEECH_S = 1.0, 3.0
LEAST_RATE_HZ, GOOD_RATE_HZ = 8_000, 16_000
LEAST_SNR_DB, GOOD_SNR_DB = 5.0, 20.0
MOST_CLIPPED, GOOD_CLIPPED = 0.02, 0.0005  # shares of the samples
QUIET_DBFS = -45.0  # of the speech
CHARS_PER_S = (4.0, 30.0)  # slower or faster nobody reads
MOST_WORDS_WRONG, GOOD_WORDS_WRONG = 0.7, 0.3  # between a transcript and what is heard
_MORE = f"give {GOOD_SPEECH_S:.0f} to 30 s of speech"
_GAP_S = 0.3  # a pause that short belongs to the speech around it
_MARGIN_S = 0.15  # kept before and after speech: a detector hears onsets late


@dataclass(frozen=True)
class Finding:
    """Something about a recording that matters: ``refused`` rules it out."""

    name: str
    severity: Severity
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}"


@dataclass(frozen=True)
class Assessment:
    """What was found in a recording. ``speech`` are its stretches of speech, in seconds.

    ``snr_db`` is the level of speech over that of what lies between, None where there is nothing
    between to measure.
    """

    name: str
    findings: tuple[Finding, ...] = ()
    speech: tuple[tuple[float, float], ...] = ()
    snr_db: float | None = None

    @property
    def verdict(self) -> Verdict:
        """``ok``, ``usable`` with warnings, or ``refused``."""
        if not self.findings:
            return "ok"
        return "refused" if any(f.severity == "refused" for f in self.findings) else "usable"

    @property
    def speech_s(self) -> float:
        """Seconds of speech."""
        return sum(end - start for start, end in self.speech)

    def __str__(self) -> str:
        return f"{self.name}: {self.verdict}" + "".join(f"\n  {f}" for f in self.findings)


def assess(recording: Recording, detector: VoiceActivityDetector | None = None) -> Assessment:
    """Judges the sound of ``recording``; ``detector`` of speech defaults to Silero's."""
    audio = recording.audio
    findings = _of_the_file(recording)
    if audio.peak_dbfs < SILENT_DBFS:
        peak = f"its peak is {audio.peak_dbfs:.0f} dBFS"
        what = peak if np.isfinite(audio.peak_dbfs) else "it is silent"
        findings.append(_refused("silent", what, "record it again, louder"))
        return Assessment(recording.name, tuple(findings))
    speech = speech_spans(audio, detector or load_vad())
    seconds = sum(end - start for start, end in speech)
    findings += _of_the_length(seconds, audio.duration_s)
    share = clipped_share(audio)
    if share > GOOD_CLIPPED:
        severity: Severity = "refused" if share > MOST_CLIPPED else "warning"
        what = f"{100 * share:.2g} % of its samples are clipped"
        findings.append(Finding("clipped", severity, what, "record it with a lower gain"))
    spoken_dbfs, between_dbfs = _levels(audio, speech)
    snr_db = None
    if spoken_dbfs is not None and spoken_dbfs < QUIET_DBFS:
        what = f"its speech is at {spoken_dbfs:.0f} dBFS"
        findings.append(Finding("quiet", "warning", what, "record it closer, or louder"))
    if spoken_dbfs is not None and between_dbfs is not None:
        snr_db = spoken_dbfs - between_dbfs
        if snr_db < GOOD_SNR_DB:
            severity = "refused" if snr_db < LEAST_SNR_DB else "warning"
            what = f"speech is only {snr_db:.0f} dB above the noise"
            findings.append(Finding("noisy", severity, what, "record it in a quieter room"))
    return Assessment(recording.name, tuple(findings), tuple(speech), snr_db)


def transcript_findings(
    text: str, speech_s: float, heard: str | None, recognizer: str
) -> list[Finding]:
    """Whether ``text`` can be what is said: by its length, and by what a recognizer ``heard``.

    ``heard=None`` compares nothing: for languages and words that the recognizer doesn't know.
    """
    rate = len(text) / max(speech_s, 1e-3)
    if not CHARS_PER_S[0] <= rate <= CHARS_PER_S[1]:
        what = f"its transcript would be {rate:.0f} characters a second"
        remedy = "give the words that are said, or leave the transcript out"
        return [_refused("wrong transcript", what, remedy)]
    if heard is None:
        return []
    wanted, found = normalized_words(text), normalized_words(heard)
    wrong = min(edit_distance(wanted, found) / max(len(wanted), 1), 1.0)
    if wrong <= GOOD_WORDS_WRONG:
        return []
    what = f"{100 * wrong:.0f} % of its words differ from what {recognizer} heard: {heard[:60]!r}"
    if wrong <= MOST_WORDS_WRONG:
        return [Finding("wrong transcript", "warning", what, "compare the two by ear")]
    remedy = "correct it, leave it out, or trust it: a recognizer knows only so many words"
    return [_refused("wrong transcript", what, remedy)]


def speech_spans(audio: Audio, detector: VoiceActivityDetector) -> list[tuple[float, float]]:
    """Stretches of speech ``(start_s, end_s)`` in order, short pauses and margins included."""
    tracker = ActivityTracker(detector)
    spans: list[list[float]] = []
    for activity in tracker.push(audio.resampled(detector.rate_hz)):
        if not activity.speaking:
            continue
        start_s = activity.end_s - tracker.frame_s - _MARGIN_S
        end_s = activity.end_s + _MARGIN_S
        if spans and start_s - spans[-1][1] < _GAP_S:
            spans[-1][1] = end_s
        else:
            spans.append([start_s, end_s])
    return [(max(start, 0.0), min(end, audio.duration_s)) for start, end in spans]


def clipped_share(audio: Audio) -> float:
    """Share of the samples that lie in runs of at least three at the clip's own peak.

    So clipping is found in recordings that were turned down afterwards, too.
    """
    level = np.abs(audio.samples)
    flat = (level >= 0.999 * level.max(initial=0.0)) & (level > 0)
    inner = flat[:-2] & flat[1:-1] & flat[2:]
    runs = np.zeros_like(flat)
    for offset in range(3):
        runs[offset : len(flat) - 2 + offset] |= inner
    return float(runs.mean()) if len(runs) else 0.0


def _of_the_file(recording: Recording) -> list[Finding]:
    findings = []
    rate_hz = recording.audio.rate_hz
    if rate_hz < LEAST_RATE_HZ:
        what = f"it is sampled at {rate_hz:,} Hz"
        findings.append(_refused("narrow band", what, "record it at 16,000 Hz or more"))
    elif rate_hz < GOOD_RATE_HZ:
        what = f"it is sampled at {rate_hz:,} Hz, so there is nothing above {rate_hz // 2:,} Hz"
        remedy = "record it at 16,000 Hz or more; its clone will sound like a telephone"
        findings.append(Finding("narrow band", "warning", what, remedy))
    if recording.channels > 1:
        how = "the louder one is taken, as they cancel" if recording.cancels else "they are mixed"
        what = f"it has {recording.channels} channels; {how}"
        remedy = "give one channel if they hold two speakers"
        findings.append(Finding("several channels", "warning", what, remedy))
    if recording.duration_s > SCAN_S:
        minutes = recording.duration_s / 60
        what = f"it is {minutes:,.0f} minutes long; only the first {SCAN_S / 60:.0f} are looked at"
        remedy = "cut out 10 to 30 seconds of one speaker"
        findings.append(Finding("long", "warning", what, remedy))
    return findings


def _of_the_length(speech_s: float, duration_s: float) -> list[Finding]:
    if duration_s < LEAST_SPEECH_S:
        return [_refused("short", f"it is {duration_s:.2g} s long", _MORE)]
    if not speech_s:
        remedy = "give a recording of one person speaking"
        return [_refused("no speech", "no speech is found in it", remedy)]
    if speech_s < LEAST_SPEECH_S:
        return [_refused("short", f"it holds {speech_s:.2g} s of speech", _MORE)]
    if speech_s < GOOD_SPEECH_S:
        return [Finding("short", "warning", f"it holds only {speech_s:.1f} s of speech", _MORE)]
    return []


def _levels(
    audio: Audio, speech: Sequence[tuple[float, float]]
) -> tuple[float | None, float | None]:
    """Level of the speech and of what lies between, in dBFS; None where there is too little."""
    spoken = np.zeros(len(audio), dtype=bool)
    for start_s, end_s in speech:
        spoken[round(start_s * audio.rate_hz) : round(end_s * audio.rate_hz)] = True
    found: list[float | None] = []
    for part in (audio.samples[spoken], audio.samples[~spoken]):
        power = float(np.square(part, dtype=np.float64).mean()) if len(part) else 0.0
        long_enough = len(part) >= 0.2 * audio.rate_hz
        found.append(10 * float(np.log10(max(power, 1e-12))) if long_enough else None)
    return found[0], found[1]


def _refused(name: str, what: str, remedy: str) -> Finding:
    return Finding(name, "refused", what, remedy)
