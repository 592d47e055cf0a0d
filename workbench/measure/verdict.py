"""FASTER, SLOWER, SAME or AMBIGUOUS: what paired trials allow one to say.

The quantity is how many times as fast an arm is as the baseline, from times of the same round,
text and seed. Its interval is compared with a band of indifference around 1, from 1 / (1 + t) to
1 + t for the threshold t (Lakens, "Equivalence tests", 2017; Kruschke's region of practical
equivalence):

    FASTER     the whole interval lies above the band
    SLOWER     the whole interval lies below it
    SAME       the whole interval lies within it
    AMBIGUOUS  the interval crosses an edge of the band, or there are too few trials

So FASTER says "by more than the threshold".

Two processes of one arm differ for as long as they live, for reasons such as where their memory
lies; trials in one process are no independent samples of an arm. So each arm goes through several
processes (Kalibera and Jones, "Rigorous benchmarking in reasonable time", 2013), each of which
gives one number, the 20 % trimmed mean of its pairs' log ratios (the outermost fifth on either
side has no say), and the interval is Student's over these numbers. With few groups that is the
honest way: it holds also where groups scatter differently (Ibragimov and Müller, "t-statistic
based correlation and heterogeneity robust inference", 2010), while resampling few groups makes
intervals too narrow (Cameron, Gelbach and Miller, 2008). docs/log.md has both simulated.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from workbench.measure.plan import MIN_TRIALS, Plan
from workbench.measure.statistics import Ratio

_TRIMMED_SHARE = 0.2


class Verdict(StrEnum):
    """What may be said of an arm. The last two say why nothing may be said."""

    FASTER = "FASTER"
    SLOWER = "SLOWER"
    SAME = "SAME"
    AMBIGUOUS = "AMBIGUOUS"
    DISTURBED = "DISTURBED"
    FAILED = "FAILED"

    @property
    def differs(self) -> bool:
        """Whether it claims a difference."""
        return self in (Verdict.FASTER, Verdict.SLOWER)

    @property
    def conclusive(self) -> bool:
        """Whether it answers the question of the study."""
        return self.differs or self is Verdict.SAME


@dataclass(frozen=True)
class Judgement:
    """A verdict with the ratio it rests on (None where none could be had) and its reason."""

    verdict: Verdict
    ratio: Ratio | None = None
    reason: str = ""

    def __str__(self) -> str:
        figure = f", {self.ratio}" if self.ratio else ""
        return f"{self.verdict}{figure}{f': {self.reason}' if self.reason else ''}"


def decide(ratio: Ratio, threshold: float) -> Verdict:
    """The verdict that an interval of the ratio allows; see above."""
    low, high = 1 / (1 + threshold), 1 + threshold
    if ratio.low > high:
        return Verdict.FASTER
    if ratio.high < low:
        return Verdict.SLOWER
    return Verdict.SAME if low <= ratio.low and ratio.high <= high else Verdict.AMBIGUOUS


@dataclass(frozen=True)
class Pairs:
    """Times of two arms in the same rounds; ``starts[i]`` tells the processes they came from."""

    baseline: Sequence[float]
    other: Sequence[float]
    starts: Sequence[Hashable]

    def __len__(self) -> int:
        return len(self.starts)

    def groups(self) -> list[tuple[list[float], list[float]]]:
        """The times by pair of processes.

        Processes whose turn was cut short, with fewer than half as many pairs as the longest, are
        left out: one late trial would be all they had to say.
        """
        found: dict[Hashable, tuple[list[float], list[float]]] = {}
        for first, second, start in zip(self.baseline, self.other, self.starts, strict=True):
            group = found.setdefault(start, ([], []))
            group[0].append(first)
            group[1].append(second)
        longest = max((len(first) for first, _ in found.values()), default=0)
        return [group for group in found.values() if 2 * len(group[0]) >= longest]


def judge(pairs: Pairs, plan: Plan, *, early: bool = False) -> Judgement:
    """The verdict on two arms as ``plan`` would have it at its end, or ``early`` at its look."""
    groups = pairs.groups()
    if len(groups) < 2:
        why = f"{len(pairs)} pairs of trials in {len(groups)} start make no interval"
        return Judgement(Verdict.AMBIGUOUS, None, why)
    if min(*pairs.baseline, *pairs.other) <= 0:
        return Judgement(Verdict.AMBIGUOUS, None, "there is no ratio to a figure of zero")
    logs = [start_estimate(np.log(first) - np.log(second)) for first, second in groups]
    confidence = plan.level(early=early)
    value, low, high = (float(np.exp(log)) for log in student_interval(logs, confidence))
    ratio = Ratio(value, low, high, len(pairs), confidence)
    if ratio.n < MIN_TRIALS:
        return Judgement(
            Verdict.AMBIGUOUS, ratio, f"{ratio.n} pairs of trials; a verdict needs {MIN_TRIALS}"
        )
    return Judgement(decide(ratio, plan.threshold), ratio)


def converged(judgement: Judgement, plan: Plan) -> bool:
    """Whether more trials would add nothing: a verdict is in, and the ratio known well enough."""
    ratio = judgement.ratio
    if ratio is None or not judgement.verdict.conclusive:
        return False
    return float(np.log(ratio.high / ratio.low)) / 2 <= plan.precision


def start_estimate(values: ArrayLike) -> Any:
    """One process's number: the mean of the middle 60 % of ``values``, along the last axis."""
    from scipy.stats import trim_mean

    return trim_mean(values, _TRIMMED_SHARE, axis=-1)


def student_interval(means: ArrayLike, confidence: float) -> tuple[Any, Any, Any]:
    """Mean of ``means`` along the last axis with Student's interval: value, low, high."""
    from scipy.special import stdtrit

    groups = np.asarray(means, dtype=np.float64)
    count = groups.shape[-1]
    value = groups.mean(axis=-1)
    error = groups.std(axis=-1, ddof=1) / np.sqrt(count)
    half = stdtrit(count - 1, (1 + confidence) / 2) * error
    return value, value - half, value + half
