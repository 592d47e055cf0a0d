"""FASTER, SLOWER, SAME or AMBIGUOUS: what paired trials allow one to say.

The quantity is how many times as fast an arm is as the baseline, from times of the same round,
text and seed. Its interval is compared with a band of indifference around 1, from 1 / (1 + t) to
1 + t for the threshold t (Lakens, "Equivalence tests", 2017; Kruschke's region of practical
equivalence):

    FASTER     the whole interval lies above the band
    SLOWER     the whole interval lies below it
    SAME       the whole interval lies within it
    AMBIGUOUS  the interval crosses an edge of the band, or there are too few trials

So FASTER says "by more than the threshold", and two processes of the same arm, which differ by
some tenths of a per cent for reasons such as where their memory lies, are not told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from workbench.measure.plan import MIN_TRIALS, Plan
from workbench.measure.statistics import Ratio, paired_ratio

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


def judge(baseline: Sequence[float], other: Sequence[float], plan: Plan) -> Judgement:
    """The verdict on times of two arms, paired by round, as ``plan`` would have it at a look.

    The ratio is the 20 % trimmed mean of the pairs' log ratios, its interval the percentile
    bootstrap (Wilcox, "Introduction to Robust Estimation and Hypothesis Testing", chapter 4):
    the outermost fifth on either side has no say, and it takes a quarter fewer trials than the
    median for the same interval. Between arms that differ by a factor, log ratios are symmetric
    around it, so that trimmed mean and median mean the same.
    """
    if len(baseline) < 2:
        why = f"{len(baseline)} pairs of trials make no interval"
        return Judgement(Verdict.AMBIGUOUS, None, why)
    if min(*baseline, *other) <= 0:
        return Judgement(Verdict.AMBIGUOUS, None, "there is no ratio to a figure of zero")
    wide = expanded(plan.look_confidence, len(baseline))
    ratio = paired_ratio(baseline, other, wide, statistic=trimmed_mean)
    ratio = replace(ratio, confidence=plan.look_confidence)
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


def expanded(confidence: float, n: int) -> float:
    """The confidence to ask of a percentile bootstrap of ``n`` samples so as to get ``confidence``.

    Resamples spread less than new samples would, by (n - 1) / n, and have normal instead of
    Student's tails (Hesterberg, "What teachers should know about the bootstrap", 2015: expanded
    percentiles); a trimmed mean has the degrees of freedom of what trimming leaves (Yuen, 1974).
    """
    from scipy.stats import norm, t

    left = n - 2 * int(_TRIMMED_SHARE * n)
    tail = t.ppf((1 - confidence) / 2, left - 1) * np.sqrt(n / (n - 1))
    return float(1 - 2 * norm.cdf(tail))


def trimmed_mean(values: np.ndarray, axis: int) -> Any:
    """Mean of the middle 60 % of ``values`` along ``axis``."""
    from scipy.stats import trim_mean

    return trim_mean(values, _TRIMMED_SHARE, axis=axis)
