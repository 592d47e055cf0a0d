"""The ears: blocks of samples in; speaking and silence, on the session's clock, out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np

from workbench.audio import Audio
from workbench.engines.turns.activity import ONSET_MS, Activity, ActivityTracker
from workbench.engines.turns.vad import VoiceActivityDetector
from workbench.errors import InputError, ModelError

_DEAF_AFTER = 25  # failures in a row (most of a second) after which there is no conversation
_DRIFT = 1e-4  # a sound card's clock may differ so much from ours

OnFailure = Callable[[Exception], None]


class Hearing:
    """Splits blocks into the detector's frames; one that fails counts as silence.

    ``now_ms`` is the session's clock, ``on_failure`` is told of each failure. Raises ModelError
    once the detector fails again and again.
    """

    def __init__(
        self, vad: VoiceActivityDetector, now_ms: Callable[[], float], on_failure: OnFailure
    ) -> None:
        self.rate_hz = vad.rate_hz
        self._vad = vad
        self._now_ms = now_ms
        self._on_failure = on_failure
        self._tracker = ActivityTracker(vad)  # resets the detector
        self._rest = np.zeros(0, np.float32)
        self._heard = 0  # samples
        self._origin_ms: float | None = None
        self._failures = 0
        self._frames, self._vad_ms = 0, 0.0

    @property
    def vad_frame_ms(self) -> float:
        """What the detector took for a frame, on average."""
        return self._vad_ms / self._frames if self._frames else 0.0

    @property
    def onset_s(self) -> float:
        """How long speech lasts until it counts as such."""
        frame_s = self._tracker.frame_s
        return max(1, round(ONSET_MS / 1000 / frame_s)) * frame_s

    def clock_ms(self, audio_s: float) -> float:
        """When what is ``audio_s`` into the sound was said, on the session's clock."""
        return (self._origin_ms or 0.0) + 1000 * audio_s

    def hear(self, piece: Audio) -> Iterator[Activity]:
        """The frames that ``piece``, which has just been said, completes."""
        if piece.rate_hz != self.rate_hz:
            raise InputError(
                f"a source of {piece.rate_hz} Hz for {self._vad.name}",
                f"give it at {self.rate_hz} Hz",
            )
        self._heard += len(piece)
        self._anchor(1000 * len(piece) / self.rate_hz)
        samples = np.concatenate([self._rest, piece.samples])
        step = self._vad.frame_samples
        whole = len(samples) // step * step
        self._rest = samples[whole:]
        for first in range(0, whole, step):
            yield self._tracker.update(self._probability(samples[first : first + step]))

    def _anchor(self, block_ms: float) -> None:
        """Where the sound's 0 s lies on the clock: the least delay seen, slowly forgotten."""
        seen_ms = self._now_ms() - 1000 * self._heard / self.rate_hz
        known_ms = seen_ms if self._origin_ms is None else self._origin_ms + _DRIFT * block_ms
        self._origin_ms = min(known_ms, seen_ms)

    def _probability(self, frame: np.ndarray) -> float:
        started_ms = self._now_ms()
        try:
            found = self._vad.probability(frame)
        except Exception as problem:
            self._failures += 1
            if self._failures >= _DEAF_AFTER:
                raise ModelError(
                    f"{self._vad.name} failed {self._failures} times in a row: {problem}",
                    "use another voice-activity detector",
                ) from problem
            self._on_failure(problem)
            return 0.0
        self._failures = 0
        self._frames += 1
        self._vad_ms += self._now_ms() - started_ms
        return found


class TurnAudio:
    """The sound of the turn, and before it a little of what was there already."""

    def __init__(self, rate_hz: int, preroll_s: float) -> None:
        self._rate_hz = rate_hz
        self._preroll = round(preroll_s * rate_hz)
        self._pieces: deque[np.ndarray] = deque()
        self._count = 0
        self._in_turn = False

    @property
    def length_s(self) -> float:
        """Seconds kept."""
        return self._count / self._rate_hz

    def add(self, piece: Audio) -> None:
        """What was just heard."""
        self._pieces.append(piece.samples)
        self._count += len(piece)
        while not self._in_turn and self._count - len(self._pieces[0]) >= self._preroll:
            self._count -= len(self._pieces.popleft())

    def begin(self) -> None:
        """A turn began: from now on everything is kept."""
        self._in_turn = True

    def end(self) -> None:
        """The turn is over: its sound is dropped."""
        self._pieces.clear()
        self._count = 0
        self._in_turn = False

    def audio(self) -> Audio:
        """All of it so far."""
        return Audio(np.concatenate([*self._pieces, np.zeros(0, np.float32)]), self._rate_hz)


def sound_of(samples: np.ndarray, rate_hz: int) -> Audio:
    """A block as audio; InputError where it holds NaN, infinity or several channels."""
    return Audio(np.asarray(samples), rate_hz)


def silence_like(samples: np.ndarray, rate_hz: int) -> Audio:
    """As much silence as a block that can't be used, so that the sound's clock goes on."""
    shape = np.shape(samples)
    return Audio(np.zeros(shape[0] if shape else 0, np.float32), rate_hz)
