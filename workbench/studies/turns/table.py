"""The silences of some turns as arrays, and what a policy does on them, turn by turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.engines.turns.detectors import Policy
from workbench.errors import InputError
from workbench.measure.statistics import Interval, bootstrap_interval
from workbench.studies.turns.outcomes import PauseSamples

FOLDS = 2  # halves of the turns that choose policies for each other


@dataclass(frozen=True)
class Outcome:
    """Per turn: hesitations cut off ``[T]``, latency ``[T]``."""

    cut: np.ndarray
    latency_s: np.ndarray


class TurnTable:
    """The samples as arrays: one row a silence, turns numbered from 0."""

    def __init__(self, samples: PauseSamples) -> None:
        pauses = samples.pauses
        numbers = sorted({pause.turn for pause in pauses})
        if len(numbers) < 2 * FOLDS:
            raise InputError(
                f"{len(numbers)} turns with an end that was found", f"pass at least {2 * FOLDS}"
            )
        self.turns = len(numbers)
        self.judged = samples.judge is not None
        self.frame_s = samples.frame_s
        self.min_silence_s = samples.min_silence_s
        self._row = np.array([numbers.index(pause.turn) for pause in pauses])
        self._final = np.array([pause.final for pause in pauses])
        self._silence_s = np.array([pause.silence_s for pause in pauses])
        self._lag_s = np.array([pause.start_s - pause.true_end_s for pause in pauses])
        self.probability = np.array([pause.probability or 0.0 for pause in pauses])
        asked_s = self._in_frames(np.full(len(pauses), self.min_silence_s))
        # The judge is asked once the silence is one, and answers after its own time.
        took_ms = np.array([(pause.judge_ms or 0.0) + pause.words_ms for pause in pauses])
        self._answer_s = asked_s + took_ms / 1000
        self.hesitations = np.bincount(self._row[~self._final], minlength=self.turns)

    def outcome(self, policy: Policy) -> Outcome:
        """What ``policy`` does; InputError where it waits longer than the silence after a turn."""
        wanted_s = np.where(
            self.probability >= policy.threshold, policy.action_delay_s, policy.timeout_s
        )
        if policy.action_delay_s != policy.timeout_s:
            wanted_s = np.maximum(wanted_s, self._answer_s)
        fires_s = self._in_frames(np.maximum(wanted_s, self.min_silence_s))
        fired = self._silence_s + 1e-9 >= fires_s
        if not fired[self._final].all():
            raise InputError(
                f"a wait of {fires_s[self._final].max():.2f} s is longer than the silence after "
                "a turn",
                "make turns with a longer tail, or use a faster judge",
            )
        cut = np.bincount(self._row[~self._final], fired[~self._final], minlength=self.turns)
        latency_s = np.zeros(self.turns)
        latency_s[self._row[self._final]] = (self._lag_s + fires_s)[self._final]
        return Outcome(cut, latency_s)

    def figures(self, policy: Policy, turns: np.ndarray | None = None) -> tuple[float, float]:
        """False cut-offs and mean latency, of some turns (all)."""
        found = self.outcome(policy)
        rows = np.arange(self.turns) if turns is None else turns
        rate = found.cut[rows].sum() / max(self.hesitations[rows].sum(), 1)
        return float(rate), float(found.latency_s[rows].mean())

    def rate(self, outcome: Outcome) -> Interval:
        """Cut-offs per hesitation."""

        def share(rows: Any, axis: int) -> Any:
            rows = rows.astype(int)
            return outcome.cut[rows].sum(axis) / np.maximum(self.hesitations[rows].sum(axis), 1)

        return bootstrap_interval(range(self.turns), share)

    def interval(self, values: np.ndarray) -> Interval:
        """Mean over turns."""
        return bootstrap_interval(values.tolist(), np.mean)

    def _in_frames(self, silence_s: np.ndarray) -> np.ndarray:
        """Rounded up to whole frames: a decision falls when a frame is complete."""
        return np.ceil(silence_s / self.frame_s - 1e-6) * self.frame_s
