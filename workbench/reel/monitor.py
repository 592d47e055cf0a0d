"""Named timers, their summary, and the verdict against VoiceReel's target."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

TARGET_AUDIO_S, TARGET_S = 30.0, 8.0  # VoiceReel: 30 s of audio in at most 8 s
TARGET_RTF = TARGET_S / TARGET_AUDIO_S


@dataclass(frozen=True)
class Timer:
    """What a name was timed for: ``count`` times, ``total_s`` in all, ``longest_s`` at most."""

    count: int = 0
    total_s: float = 0.0
    longest_s: float = 0.0

    def plus(self, elapsed_s: float) -> Timer:
        """With one more time."""
        return Timer(self.count + 1, self.total_s + elapsed_s, max(self.longest_s, elapsed_s))


class Monitor:
    """``with monitor("synthesis"): …``; threads may time at once.

    Names that run beside each other, such as ``write`` beside ``synthesis``, are each timed in
    full, so that the sum of all is no wall-clock time.
    """

    def __init__(self) -> None:
        self._timers: dict[str, Timer] = {}
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Times a block, also one that raises."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - started)

    def add(self, name: str, elapsed_s: float) -> None:
        """Adds a time that was taken elsewhere."""
        with self._lock:
            self._timers[name] = self._timers.get(name, Timer()).plus(elapsed_s)

    def total_s(self, name: str) -> float:
        """What ``name`` took in all; 0 for what was never timed."""
        return self._timers.get(name, Timer()).total_s

    @property
    def timers(self) -> Mapping[str, Timer]:
        """All timers, in the order in which they were first stopped."""
        with self._lock:
            return dict(self._timers)

    def __str__(self) -> str:
        return summary(self.timers)


def summary(timers: Mapping[str, Timer]) -> str:
    """All timers in a line."""
    return "; ".join(
        f"{name} {timer.total_s:.2f} s" + (f" ({timer.count} times)" if timer.count > 1 else "")
        for name, timer in timers.items()
    )


def target_met(audio_s: float, synthesis_s: float) -> bool | None:
    """Whether VoiceReel's target is met; None where nothing was spoken."""
    return synthesis_s <= TARGET_RTF * audio_s if audio_s else None


def target_verdict(audio_s: float, synthesis_s: float) -> str:
    """The verdict in words: time, real-time factor, and the target of 30 s in 8 s."""
    met = target_met(audio_s, synthesis_s)
    if met is None:
        return "nothing was to be spoken, so that no speed can be told"
    return (
        f"{audio_s:.1f} s of audio in {synthesis_s:.1f} s (RTF {synthesis_s / audio_s:.2f}): "
        f"the target of {TARGET_AUDIO_S:g} s in {TARGET_S:g} s (RTF {TARGET_RTF:.2f}) is "
        f"{'met' if met else 'missed'}"
    )
