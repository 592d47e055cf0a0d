"""Curves of false cut-offs against latency from the silences that ``studies.turns`` collected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from workbench.engines.turns import Policy
from workbench.errors import InputError
from workbench.measure.statistics import Interval, bootstrap_interval
from workbench.studies.turns import PauseSamples

Kind = Literal["vad", "semantic", "both"]
KINDS: tuple[Kind, ...] = ("vad", "semantic", "both")
WAITS_S = tuple(round(0.1 * step, 1) for step in range(1, 34))  # 0.1 to 3.3 s
LONGEST_S = WAITS_S[-1]
_THRESHOLDS = 24  # quantiles of the probabilities seen
_FOLDS = 2


@dataclass(frozen=True)
class Point:
    """What one policy does.

    ``false_cut_offs`` is the share of hesitations in which it fires, ``turns_cut`` of turns with at
    least one; ``latency_s`` is the mean time from the true end of speech until it fires, the time
    of the judge (and of a recognizer) included where it isn't over by then. Intervals: bootstrap
    over turns.

    Hesitations are the silences that the voice-activity detector found, natural gaps of 0.1 s and
    more among them: compare two detectors by ``turns_cut``.
    """

    policy: Policy
    false_cut_offs: Interval
    turns_cut: Interval
    latency_s: Interval


@dataclass(frozen=True)
class Curve:
    """The Pareto frontier of one kind of policy, from the shortest latency to the longest.

    ``vad`` waits the same after every silence; ``semantic`` fires as soon as the judge's
    probability is high enough, else after ``LONGEST_S``; ``both`` adapts the wait.
    """

    kind: Kind
    points: tuple[Point, ...]

    def best_at(self, false_cut_offs: float) -> Point | None:
        """The shortest latency with at most so many cut-offs, None where there is none.

        Chosen and measured on the same turns, as eot-bench does; ``operating_point`` doesn't.
        """
        allowed = [point for point in self.points if point.false_cut_offs.value <= false_cut_offs]
        return min(allowed, key=lambda point: point.latency_s.value, default=None)


@dataclass(frozen=True)
class OperatingPoint:
    """A budget's result on turns that the policy wasn't chosen on.

    Of two halves of the turns each chose the ``policies`` for the other. ``chosen`` says what was
    asked for.
    """

    kind: Kind
    chosen: str
    policies: tuple[Policy, ...]
    false_cut_offs: Interval
    latency_s: Interval


def curve(samples: PauseSamples, kind: Kind) -> Curve:
    """The curve of ``kind``; InputError where ``samples`` don't allow it (no judge, no turn)."""
    table = _Table(samples)
    policies = _policies(table, kind)
    figures = [table.figures(policy) for policy in policies]
    order = sorted(range(len(policies)), key=lambda row: (figures[row][1], figures[row][0]))
    points: list[Point] = []
    fewest = np.inf
    for row in order:
        if figures[row][0] < fewest:
            fewest = figures[row][0]
            points.append(table.point(policies[row]))
    return Curve(kind, tuple(points))


def point(samples: PauseSamples, policy: Policy) -> Point:
    """What ``policy`` does on ``samples``: FERN's is ``Policy(1.0, 0.7, 0.7)``."""
    if policy.action_delay_s != policy.timeout_s and samples.judge is None:
        raise InputError(
            "a policy with a threshold, and samples without a judge", "collect with one"
        )
    return _Table(samples).point(policy)


def curves(samples: PauseSamples) -> tuple[Curve, ...]:
    """VAD alone, semantic alone, and both."""
    return tuple(curve(samples, kind) for kind in KINDS)


def operating_point(
    samples: PauseSamples,
    kind: Kind,
    *,
    false_cut_offs: float | None = None,
    latency_s: float | None = None,
    seed: int = 0,
) -> OperatingPoint:
    """The shortest latency within a budget of ``false_cut_offs``, or the fewest within a latency.

    Raises InputError unless exactly one budget is given, or where no policy keeps within it.
    """
    table = _Table(samples)
    outcome, policies = _crossed(table, kind, false_cut_offs, latency_s, seed)
    asked = (
        f"at most {false_cut_offs:.3g} false cut-offs"
        if false_cut_offs is not None
        else f"at most {latency_s:.3g} s"
    )
    return OperatingPoint(
        kind, asked, policies, table.rate(outcome), table.interval(outcome.latency_s)
    )


def wait_ratio(
    samples: PauseSamples, false_cut_offs: float, kind: Kind = "both", seed: int = 0
) -> Interval:
    """Mean latency of ``kind`` / that of VAD alone at equal budgets; 0.5 is half the wait.

    Policies as in ``operating_point``; bootstrap over turns, of both at once.
    """
    table = _Table(samples)
    ours, _ = _crossed(table, kind, false_cut_offs, None, seed)
    plain, _ = _crossed(table, "vad", false_cut_offs, None, seed)

    def ratio(rows: Any, axis: int) -> Any:
        rows = rows.astype(int)
        return ours.latency_s[rows].sum(axis) / plain.latency_s[rows].sum(axis)

    return bootstrap_interval(range(table.turns), ratio)


@dataclass(frozen=True)
class _Outcome:
    """Per turn: hesitations cut off ``[T]``, latency ``[T]``."""

    cut: np.ndarray
    latency_s: np.ndarray


class _Table:
    """The samples as arrays: one row a silence, turns numbered from 0."""

    def __init__(self, samples: PauseSamples) -> None:
        pauses = samples.pauses
        numbers = sorted({pause.turn for pause in pauses})
        if len(numbers) < 2 * _FOLDS:
            raise InputError(
                f"{len(numbers)} turns with an end that was found", f"pass at least {2 * _FOLDS}"
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

    def outcome(self, policy: Policy) -> _Outcome:
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
        return _Outcome(cut, latency_s)

    def figures(self, policy: Policy, turns: np.ndarray | None = None) -> tuple[float, float]:
        """False cut-offs and mean latency, of some turns (all)."""
        found = self.outcome(policy)
        rows = np.arange(self.turns) if turns is None else turns
        rate = found.cut[rows].sum() / max(self.hesitations[rows].sum(), 1)
        return float(rate), float(found.latency_s[rows].mean())

    def point(self, policy: Policy) -> Point:
        found = self.outcome(policy)
        return Point(
            policy,
            self.rate(found),
            self.interval((found.cut > 0).astype(float)),
            self.interval(found.latency_s),
        )

    def rate(self, outcome: _Outcome) -> Interval:
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


def _policies(table: _Table, kind: Kind) -> list[Policy]:
    if kind not in KINDS:
        raise InputError(f"no kind of policy called {kind!r}", f"use {', '.join(KINDS)}")
    silent = [Policy(1.0, wait_s, wait_s) for wait_s in WAITS_S]
    if kind == "vad":
        return silent
    if not table.judged:
        raise InputError(f"samples without a judge have no curve {kind!r}", "collect with a judge")
    shares = np.linspace(0, 1, _THRESHOLDS)
    thresholds = sorted({float(value) for value in np.quantile(table.probability, shares)})
    if kind == "semantic":
        return [Policy(threshold, 0.0, LONGEST_S) for threshold in thresholds]
    return silent + [
        Policy(threshold, delay_s, timeout_s)
        for threshold in thresholds
        for delay_s in WAITS_S
        for timeout_s in WAITS_S
        if delay_s < timeout_s
    ]


def _crossed(
    table: _Table,
    kind: Kind,
    false_cut_offs: float | None,
    latency_s: float | None,
    seed: int,
) -> tuple[_Outcome, tuple[Policy, ...]]:
    """Each half's outcome under the policy that the other half chose."""
    if (false_cut_offs is None) == (latency_s is None):
        raise InputError("no budget, or two", "give false_cut_offs or latency_s")
    policies = _policies(table, kind)
    folds = np.array_split(np.random.default_rng(seed).permutation(table.turns), _FOLDS)
    cut, waited = np.zeros(table.turns), np.zeros(table.turns)
    chosen = []
    for fold in folds:
        others = np.setdiff1d(np.arange(table.turns), fold)
        policy = _best(table, policies, others, false_cut_offs, latency_s)
        found = table.outcome(policy)
        cut[fold], waited[fold] = found.cut[fold], found.latency_s[fold]
        chosen.append(policy)
    return _Outcome(cut, waited), tuple(chosen)


def _best(
    table: _Table,
    policies: Sequence[Policy],
    turns: np.ndarray,
    false_cut_offs: float | None,
    latency_s: float | None,
) -> Policy:
    figures = {policy: table.figures(policy, turns) for policy in policies}
    budget = false_cut_offs if false_cut_offs is not None else latency_s
    assert budget is not None
    limited, wanted = (0, 1) if false_cut_offs is not None else (1, 0)
    allowed = [policy for policy in policies if figures[policy][limited] <= budget]
    if not allowed:
        raise InputError(
            f"no policy keeps within {'false_cut_offs' if limited == 0 else 'latency_s'}={budget}",
            "allow more",
        )
    key: Callable[[Policy], tuple[float, float]] = lambda policy: (  # noqa: E731
        figures[policy][wanted],
        figures[policy][limited],
    )
    return min(allowed, key=key)
