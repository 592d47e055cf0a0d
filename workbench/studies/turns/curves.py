"""Curves of false cut-offs against latency from the silences that ``studies.turns`` collected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from workbench.engines.turns.detectors import Policy
from workbench.errors import InputError
from workbench.measure.statistics import Interval, bootstrap_interval
from workbench.studies.turns.outcomes import PauseSamples
from workbench.studies.turns.table import FOLDS, Outcome, TurnTable

Kind = Literal["vad", "semantic", "both"]
KINDS: tuple[Kind, ...] = ("vad", "semantic", "both")
WAITS_S = tuple(round(0.1 * step, 1) for step in range(1, 34))  # 0.1 to 3.3 s
LONGEST_S = WAITS_S[-1]
_THRESHOLDS = 24  # quantiles of the probabilities seen


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
    table = TurnTable(samples)
    policies = _policies(table, kind)
    figures = [table.figures(policy) for policy in policies]
    order = sorted(range(len(policies)), key=lambda row: (figures[row][1], figures[row][0]))
    points: list[Point] = []
    fewest = np.inf
    for row in order:
        if figures[row][0] < fewest:
            fewest = figures[row][0]
            points.append(_point(table, policies[row]))
    return Curve(kind, tuple(points))


def point(samples: PauseSamples, policy: Policy) -> Point:
    """What ``policy`` does on ``samples``: FERN's is ``Policy(1.0, 0.7, 0.7)``."""
    if policy.action_delay_s != policy.timeout_s and samples.judge is None:
        raise InputError(
            "a policy with a threshold, and samples without a judge", "collect with one"
        )
    return _point(TurnTable(samples), policy)


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
    table = TurnTable(samples)
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
    table = TurnTable(samples)
    ours, _ = _crossed(table, kind, false_cut_offs, None, seed)
    plain, _ = _crossed(table, "vad", false_cut_offs, None, seed)

    def ratio(rows: Any, axis: int) -> Any:
        rows = rows.astype(int)
        return ours.latency_s[rows].sum(axis) / plain.latency_s[rows].sum(axis)

    return bootstrap_interval(range(table.turns), ratio)


def cut_offs_left(
    samples: PauseSamples, fixed: Policy, kind: Kind = "both", seed: int = 0
) -> Interval:
    """The share of ``fixed``'s false cut-offs that ``kind`` makes, too, at its mean latency.

    Policies as in ``operating_point``; bootstrap over turns, of both at once. Raises InputError
    where ``fixed`` makes none.
    """
    table = TurnTable(samples)
    plain = table.outcome(fixed)
    if not plain.cut.sum():
        raise InputError("a policy without false cut-offs", "compare with a shorter wait")
    ours, _ = _crossed(table, kind, None, float(plain.latency_s.mean()), seed)

    def share(rows: Any, axis: int) -> Any:
        rows = rows.astype(int)
        # Drawn again, there may be turns without any: then none are left, either.
        return ours.cut[rows].sum(axis) / np.maximum(plain.cut[rows].sum(axis), 1)

    return bootstrap_interval(range(table.turns), share)


def _point(table: TurnTable, policy: Policy) -> Point:
    found = table.outcome(policy)
    return Point(
        policy,
        table.rate(found),
        table.interval((found.cut > 0).astype(float)),
        table.interval(found.latency_s),
    )


def _policies(table: TurnTable, kind: Kind) -> list[Policy]:
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
    table: TurnTable,
    kind: Kind,
    false_cut_offs: float | None,
    latency_s: float | None,
    seed: int,
) -> tuple[Outcome, tuple[Policy, ...]]:
    """Each half's outcome under the policy that the other half chose."""
    if (false_cut_offs is None) == (latency_s is None):
        raise InputError("no budget, or two", "give false_cut_offs or latency_s")
    policies = _policies(table, kind)
    folds = np.array_split(np.random.default_rng(seed).permutation(table.turns), FOLDS)
    cut, waited = np.zeros(table.turns), np.zeros(table.turns)
    chosen = []
    for fold in folds:
        others = np.setdiff1d(np.arange(table.turns), fold)
        policy = _best(table, policies, others, false_cut_offs, latency_s)
        found = table.outcome(policy)
        cut[fold], waited[fold] = found.cut[fold], found.latency_s[fold]
        chosen.append(policy)
    return Outcome(cut, waited), tuple(chosen)


def _best(
    table: TurnTable,
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
