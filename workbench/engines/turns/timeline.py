"""A recording heard as if it were live: where speech is, and when each detector ends a turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from workbench.audio import Audio
from workbench.engines.turns.activity import ActivityTracker
from workbench.engines.turns.detectors import TurnDetector, TurnEnd, TurnTracker
from workbench.engines.turns.vad import VoiceActivityDetector
from workbench.errors import InputError

# The words spoken between two times, in seconds of the recording.
Words = Callable[[float, float], str]
TAIL_S = 2.0  # of silence after a recording, in which its last turn can end


@dataclass(frozen=True)
class Spoken:
    """A stretch of speech as the voice-activity detector found it, in seconds."""

    start_s: float
    end_s: float


@dataclass(frozen=True)
class Timeline:
    """What was found in a recording of ``duration_s``.

    ``probabilities`` ``[N]`` are of speech, one for each frame of ``frame_s``, the silence after
    the recording included. ``ends`` has each detector's turn ends.
    """

    duration_s: float
    frame_s: float
    vad: str
    probabilities: np.ndarray
    spoken: tuple[Spoken, ...]
    ends: Mapping[str, tuple[TurnEnd, ...]]


def heard_words(audio: Audio, transcribe: Callable[[Audio], str]) -> Words:
    """The words that ``transcribe`` hears in a stretch of ``audio``."""

    def words(since_s: float, until_s: float) -> str:
        first, last = (round(at_s * audio.rate_hz) for at_s in (since_s, until_s))
        return transcribe(Audio(audio.samples[first:last], audio.rate_hz))

    return words


def timeline(
    audio: Audio,
    vad: VoiceActivityDetector,
    detectors: Mapping[str, TurnDetector],
    words: Words | None = None,
    *,
    tail_s: float = TAIL_S,
) -> Timeline:
    """Runs ``vad`` and the turn ``detectors`` over ``audio``, frame by frame, causally.

    A detector is given the ``words`` since its last turn's end, none without it; each stretch is
    asked for once. ``tail_s`` of silence follow the recording. Raises InputError for a negative
    one.
    """
    if tail_s < 0:
        raise InputError(f"a silence of {tail_s} s after the recording", "use 0 or more")
    heard = audio.resampled(vad.rate_hz)
    tail = Audio(np.zeros(round(tail_s * vad.rate_hz), np.float32), vad.rate_hz)
    tracker = ActivityTracker(vad)
    turns = {name: TurnTracker(detector) for name, detector in detectors.items()}
    ends: dict[str, list[TurnEnd]] = {name: [] for name in detectors}
    known: dict[tuple[float, float], str] = {}

    def said(since_s: float, until_s: float) -> str:
        if (since_s, until_s) not in known:
            known[since_s, until_s] = words(since_s, until_s) if words else ""
        return known[since_s, until_s]

    probabilities: list[float] = []
    spoken: list[Spoken] = []
    speaking = False
    for activity in tracker.push(Audio.concatenate([heard, tail])):
        probabilities.append(activity.probability)
        if activity.speaking:
            start_s = spoken.pop().start_s if speaking else activity.end_s - tracker.onset_s
            spoken.append(Spoken(start_s, activity.end_s))
        speaking = activity.speaking
        for name, turn in turns.items():
            since_s = ends[name][-1].at_s if ends[name] else 0.0
            end = turn.push(activity, partial(said, since_s, activity.end_s))
            if end is not None:
                ends[name].append(end)
    return Timeline(
        audio.duration_s,
        tracker.frame_s,
        vad.name,
        np.asarray(probabilities),
        tuple(spoken),
        {name: tuple(found) for name, found in ends.items()},
    )
