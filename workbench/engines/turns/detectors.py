"""When is the speaker's turn over? A wait after the last speech, fixed or by what was said.

The fixed wait is what FERN does (700 ms). The semantic one asks a language model how likely the
turn is over given the words so far, as LiveKit's turn detector does (livekit/agents), and follows
the three-parameter policy of LiveKit's eot-bench: ``threshold``, ``action_delay`` and ``timeout``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from workbench.engines.turns.activity import Activity
from workbench.errors import InputError

SILENCE_S = 0.7  # FERN's
MIN_SILENCE_S = 0.1  # a shorter gap is part of speech: eot-bench's shortest pause


@dataclass(frozen=True)
class Wait:
    """How long a silence must last until the turn counts as over, and why.

    ``probability`` of the turn being over is None where nobody was asked; ``latency_ms`` is what
    asking took.
    """

    silence_s: float
    probability: float | None = None
    latency_ms: float = 0.0


class TurnDetector(Protocol):
    """Decides at the start of a silence how long to wait."""

    name: str

    def wait(self, transcript: str) -> Wait:
        """The silence wanted after ``transcript``, the speaker's words in this turn so far."""
        ...


class TurnJudge(Protocol):
    """Says how likely it is that a speaker who said so much has finished."""

    name: str

    def probability(self, transcript: str) -> float:
        """P(the turn is over | ``transcript``)."""
        ...


@dataclass(frozen=True)
class Policy:
    """What to do with a judge's probability (eot-bench's terms).

    At or above ``threshold`` the turn is over after ``action_delay_s`` of silence, below it after
    ``timeout_s``. With both equal the judge doesn't matter: silence alone decides.
    """

    threshold: float
    action_delay_s: float
    timeout_s: float

    def __post_init__(self) -> None:
        if not 0 <= self.action_delay_s <= self.timeout_s:
            raise InputError(
                f"an action delay of {self.action_delay_s} s and a timeout of {self.timeout_s} s",
                "let 0 <= action_delay_s <= timeout_s",
            )

    def silence_s(self, probability: float) -> float:
        """The silence wanted at this probability of the turn being over."""
        return self.action_delay_s if probability >= self.threshold else self.timeout_s


DEFAULT_POLICY = Policy(0.5, 0.2, 1.5)


class SilenceTurnDetector:
    """The turn is over after ``silence_s`` of silence, whatever was said."""

    name = "silence"

    def __init__(self, silence_s: float = SILENCE_S) -> None:
        if silence_s <= 0:
            raise InputError(f"a silence of {silence_s} s", "use a positive number of seconds")
        self.silence_s = silence_s

    def wait(self, transcript: str) -> Wait:
        """Always ``silence_s``."""
        return Wait(self.silence_s)


class SemanticTurnDetector:
    """A short wait where ``judge`` finds the sentence finished, a long one where it doesn't.

    The default policy's threshold has no meaning of its own: take it from the curve that
    ``workbench.studies.turns.outcomes`` measures for this judge.
    """

    name = "semantic"

    def __init__(self, judge: TurnJudge, policy: Policy = DEFAULT_POLICY) -> None:
        self.judge = judge
        self.policy = policy

    def wait(self, transcript: str) -> Wait:
        """The policy's silence at the judge's probability."""
        started = time.perf_counter()
        probability = self.judge.probability(transcript)
        latency_ms = (time.perf_counter() - started) * 1000
        return Wait(self.policy.silence_s(probability), probability, latency_ms)


@dataclass(frozen=True)
class TurnEnd:
    """The turn was over: found at ``at_s`` of audio, speech having ended at ``speech_end_s``."""

    at_s: float
    speech_end_s: float
    transcript: str
    wait: Wait


class TurnTracker:
    """Activities in, one by one; a ``TurnEnd`` once the detector's wait is over.

    The detector is asked once in each silence, when it has lasted ``min_silence_s``, and again
    after the next speech.
    """

    def __init__(self, detector: TurnDetector, *, min_silence_s: float = MIN_SILENCE_S) -> None:
        self._detector = detector
        self._min_silence_s = min_silence_s
        self._asked: tuple[float, str, Wait] | None = None
        self._done_s: float | None = None  # speech end of the turn that was told already

    def push(self, activity: Activity, transcript: Callable[[], str]) -> TurnEnd | None:
        """The end of the turn where this frame completes the wait; ``transcript`` is called then.

        The time that the detector takes is not waited for here: it is in the ``wait`` returned.
        """
        speech_end_s = activity.speech_end_s
        if activity.speaking or speech_end_s is None or speech_end_s == self._done_s:
            return None
        if activity.silence_s < self._min_silence_s:
            return None
        if self._asked is None or self._asked[0] != speech_end_s:
            said = transcript()
            self._asked = (speech_end_s, said, self._detector.wait(said))
        _, said, wait = self._asked
        # Frames are exact multiples of their length only up to rounding.
        if activity.silence_s + 1e-9 < wait.silence_s:
            return None
        self._done_s = speech_end_s
        return TurnEnd(activity.end_s, speech_end_s, said, wait)
