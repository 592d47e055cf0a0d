"""How often a turn detector cuts a speaker off, against how long it waits.

The form of LiveKit's eot-bench (github.com/livekit/eot-bench): each silence of a turn is a
decision. The last is the true end, all before are hesitations. A policy (threshold, action delay,
timeout) that fires in a hesitation is a false cut-off; its latency is the time from the true end
of speech until it fires. Sweeping the policy gives a curve; silence alone (VAD) is one of them.

Every silence is kept as a sample, so that any policy can be computed later without running
anything again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.audio import Audio
from workbench.engines.turns.activity import ActivityTracker
from workbench.engines.turns.detectors import MIN_SILENCE_S, TurnJudge
from workbench.engines.turns.vad import VoiceActivityDetector
from workbench.studies.turns.clips import TurnClip

Transcribe = Callable[[Audio], str]


@dataclass(frozen=True)
class Pause:
    """One silence as the voice-activity detector found it, and what the judge said of it.

    ``silence_s`` is how long it got until speech was found again (or the clip ended).
    ``start_s`` is its start as found, ``true_end_s`` where the turn's speech really ends.
    ``probability`` (of the turn being over) and ``judge_ms`` (what asking took) are None without a
    judge. ``words_ms`` is what transcribing took, 0 for true words.
    """

    turn: int
    final: bool
    start_s: float
    silence_s: float
    true_end_s: float
    transcript: str
    probability: float | None
    judge_ms: float | None
    words_ms: float = 0.0


@dataclass(frozen=True)
class PauseSamples:
    """All silences of some turns, and what found them.

    ``missed`` are turns whose end the voice-activity detector never found; they are left out.
    ``words`` names where the judge's words came from. ``frame_s`` is the detector's frame.
    """

    pauses: tuple[Pause, ...]
    detector: str
    judge: str | None
    words: str
    frame_s: float
    min_silence_s: float
    turns: int
    missed: tuple[int, ...] = ()

    @staticmethod
    def from_dict(values: dict[str, Any]) -> PauseSamples:
        """The samples that ``asdict`` made, JSON in between or not."""
        pauses = tuple(Pause(**pause) for pause in values["pauses"])
        return PauseSamples(**{**values, "pauses": pauses, "missed": tuple(values["missed"])})


def collect(
    turns: Sequence[TurnClip],
    detector: VoiceActivityDetector,
    judge: TurnJudge | None = None,
    *,
    transcribe: Transcribe | None = None,
    words: str = "true words",
    min_silence_s: float = MIN_SILENCE_S,
    wrap: Callable[[Iterable[TurnClip]], Iterable[TurnClip]] = lambda turns: turns,
) -> PauseSamples:
    """Runs ``detector`` over each turn and asks ``judge`` in each silence, causally.

    The judge sees what had been said by then: the true words, or ``transcribe`` of the audio up to
    that frame (``lambda audio: recognizer.transcribe(audio).text``; ``words`` then names it).
    ``wrap`` sees the turns pass, for a progress bar.
    """
    found: list[Pause] = []
    missed: list[int] = []
    tracker = ActivityTracker(detector)
    for number, clip in enumerate(wrap(turns)):
        pauses = _pauses(number, clip, tracker, judge, transcribe, min_silence_s)
        if pauses and pauses[-1].final:
            found += pauses
        else:
            missed.append(number)
    return PauseSamples(
        tuple(found),
        detector.name,
        judge.name if judge else None,
        words,
        tracker.frame_s,
        min_silence_s,
        len(turns),
        tuple(missed),
    )


def _pauses(
    number: int,
    clip: TurnClip,
    tracker: ActivityTracker,
    judge: TurnJudge | None,
    transcribe: Transcribe | None,
    min_silence_s: float,
) -> list[Pause]:
    audio = clip.audio.resampled(tracker.detector.rate_hz)
    tracker.reset()
    longest: dict[float, float] = {}  # of each silence, by its start
    asked_s: dict[float, float] = {}
    speaking = False
    for activity in tracker.push(audio):
        speaking = activity.speaking
        start_s = activity.speech_end_s
        if speaking or start_s is None or activity.silence_s < min_silence_s:
            continue
        longest[start_s] = activity.silence_s
        asked_s.setdefault(start_s, activity.end_s)
    pauses = []
    for start_s, silence_s in longest.items():
        last = start_s == max(longest) and not speaking
        now_s = asked_s[start_s]
        started = time.perf_counter()
        if transcribe:
            said = transcribe(Audio(audio.samples[: round(now_s * audio.rate_hz)], audio.rate_hz))
        else:
            said = clip.said(now_s)
        heard = time.perf_counter()
        probability = judge.probability(said) if judge else None
        judge_ms = (time.perf_counter() - heard) * 1000 if judge else None
        pauses.append(
            Pause(
                number,
                last and start_s > clip.starts_s[-1],
                start_s,
                silence_s,
                clip.ends_s[-1],
                said,
                probability,
                judge_ms,
                (heard - started) * 1000 if transcribe else 0.0,
            )
        )
    return pauses
