"""From probabilities of speech to speaking and silence, frame by frame as audio arrives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.audio import Audio
from workbench.engines.turns.vad import VoiceActivityDetector
from workbench.errors import InputError

HYSTERESIS = 0.15  # Silero's: speech goes on until the probability is that much below
ONSET_MS = 60.0  # a shorter burst (a click, a cough) is no speech


@dataclass(frozen=True)
class Activity:
    """What is known once a frame is in.

    ``end_s`` is the frame's end, in seconds of audio since the first frame. ``speech_end_s`` is
    where the last speech ended so far (the end of its last frame), None before any speech; while
    ``speaking`` it is ``end_s``.
    """

    end_s: float
    probability: float
    speaking: bool
    speech_end_s: float | None

    @property
    def silence_s(self) -> float:
        """How long it has been silent since the last speech; 0 before any speech."""
        return 0.0 if self.speech_end_s is None else self.end_s - self.speech_end_s


class ActivityTracker:
    """Audio in, in pieces of any length; an ``Activity`` for each frame of the detector out.

    Speech begins with ``onset_ms`` of frames above ``threshold`` (default: the detector's) and
    ends with the first frame below ``threshold - HYSTERESIS``, as in Silero's own use. A burst
    shorter than ``onset_ms`` doesn't end a silence.
    """

    def __init__(
        self,
        detector: VoiceActivityDetector,
        *,
        threshold: float | None = None,
        onset_ms: float = ONSET_MS,
    ) -> None:
        threshold = detector.threshold if threshold is None else threshold
        if not 0 < threshold < 1:
            raise InputError(f"a threshold of {threshold}", "use a probability between 0 and 1")
        self.detector = detector
        self._high, self._low = threshold, max(threshold - HYSTERESIS, 0.01)
        self.frame_s = detector.frame_samples / detector.rate_hz
        self._onset_frames = max(1, round(onset_ms / 1000 / self.frame_s))
        self.onset_s = self._onset_frames * self.frame_s  # that speech had lasted when it was found
        self.reset()

    def reset(self) -> None:
        """Starts again at 0 s."""
        self.detector.reset()
        self._rest = np.zeros(0, np.float32)
        self._frames = 0
        self._burst = 0
        self._speaking = False
        self._speech_end_s: float | None = None

    def push(self, audio: Audio) -> list[Activity]:
        """The frames that ``audio`` completes.

        Raises InputError for a rate other than the detector's: a piece alone can't be resampled
        without a seam.
        """
        if audio.rate_hz != self.detector.rate_hz:
            raise InputError(
                f"audio at {audio.rate_hz} Hz for {self.detector.name}",
                f"resample the whole recording to {self.detector.rate_hz} Hz first",
            )
        samples = np.concatenate([self._rest, audio.samples])
        step = self.detector.frame_samples
        whole = len(samples) // step * step
        self._rest = samples[whole:]
        return [
            self.update(self.detector.probability(samples[first : first + step]))
            for first in range(0, whole, step)
        ]

    def update(self, probability: float) -> Activity:
        """The next frame, whose probability of speech is known."""
        self._frames += 1
        end_s = self._frames * self.frame_s
        if self._speaking:
            self._speaking = probability >= self._low
        else:
            self._burst = self._burst + 1 if probability >= self._high else 0
            self._speaking = self._burst >= self._onset_frames
        if self._speaking:
            self._burst = 0
            self._speech_end_s = end_s
        return Activity(end_s, probability, self._speaking, self._speech_end_s)
