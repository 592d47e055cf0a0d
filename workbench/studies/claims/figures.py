"""One small function for each metric of the ledger: evidence into the claim's own unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from workbench.measure.statistics import RESAMPLES, Interval, Ratio, bootstrap_interval
from workbench.measure.verdict import Judgement, Verdict, decide
from workbench.studies.claims.evidence import Fact, Pair, characters, weights_bytes

_GPU_PEAK = "peak_gpu_bytes"
_EXACT = 0.01  # a counted figure within this of another is the same


@dataclass(frozen=True)
class Figure:
    """A measured figure in the claim's unit, and the verdict on whether the optimization helps.

    ``interval`` is None where nothing could be had; ``reason`` says why there is no verdict.
    """

    interval: Interval | None
    verdict: Verdict
    reason: str = ""


def speedup(evidence: Pair | Fact, metric: str | None = None) -> Figure:
    """How many times as fast; of a fact, how many times as small."""
    judgement = _judged(evidence, metric)
    return Figure(judgement.ratio, judgement.verdict, judgement.reason)


def saving(evidence: Pair | Fact, metric: str | None = None) -> Figure:
    """The share of the baseline's time that is gone: 1 - 1 / ratio."""
    judgement = _judged(evidence, metric)
    ratio = judgement.ratio
    interval = ratio and Interval(
        1 - 1 / ratio.value, 1 - 1 / ratio.low, 1 - 1 / ratio.high, ratio.n, ratio.confidence
    )
    return Figure(interval, judgement.verdict, judgement.reason)


def ttfa_saving(evidence: Pair | Fact, metric: str | None = None) -> Figure:
    """The share of the time to first audio that is gone."""
    return saving(evidence, metric or "ttfa_ms")


def memory_ratio(evidence: Pair | Fact, metric: str | None = None) -> Figure:
    """How many times less memory: the peak of the GPU's; on the CPU the weights' own bytes.

    The peak of a process on the CPU is mostly libraries, and says nothing of a small model.
    """
    if isinstance(evidence, Fact):
        return speedup(evidence)
    judgement = evidence.judgement()
    if judgement.verdict is Verdict.FAILED:
        return Figure(None, judgement.verdict, judgement.reason)
    name = metric or _GPU_PEAK
    if evidence.has(name):  # other programs disturb times, not how much memory this one takes
        judgement = evidence.study.undisturbed(evidence.arm, name, evidence.against)
        return Figure(judgement.ratio, judgement.verdict, judgement.reason)
    found, without = (
        weights_bytes(evidence.study.result(arm)) for arm in (evidence.arm, evidence.against)
    )
    if not found or not without:
        return _none("the arms don't tell the bytes of their weights")
    counted = Fact(found, without, "bytes of weights", "", "")
    return speedup(counted)


def ms_saved(evidence: Pair | Fact, metric: str | None = None) -> Figure:
    """Milliseconds less, by the median of the pairs' differences; a fact's are its value."""
    if isinstance(evidence, Fact):
        if evidence.interval is None or evidence.ratio is None:
            return _none("a saving in milliseconds needs times")
        return Figure(evidence.interval, decide(evidence.ratio, _EXACT))
    pairs = evidence.study.pairs(evidence.arm, metric, evidence.against)
    judgement = evidence.judgement(metric)
    if judgement.ratio is None:
        return Figure(None, judgement.verdict, judgement.reason)
    saved = bootstrap_interval(np.subtract(pairs.baseline, pairs.other).tolist())
    return Figure(saved, judgement.verdict, judgement.reason)


def variance_saving(evidence: Pair | Fact, metric: str | None = None) -> Figure:
    """The share of the latency's spread that is gone: 1 - with / without.

    The spread is the median distance from the median of trials of the same text and process, so
    that neither lengths of texts nor differences between processes count as spread. Its interval
    is the percentile bootstrap over rounds, resampled whole.
    """
    if isinstance(evidence, Fact):
        return _none("a spread needs times")
    judgement = evidence.judgement(metric)
    if not judgement.verdict.conclusive and judgement.verdict is not Verdict.AMBIGUOUS:
        return Figure(None, judgement.verdict, judgement.reason)
    if judgement.reason:  # too few trials to say anything of times, hence of their spread
        return Figure(None, Verdict.AMBIGUOUS, judgement.reason)
    name = metric or evidence.metric
    without, found = (_rests(evidence, arm, name) for arm in (evidence.against, evidence.arm))
    rounds = sorted(without.keys() & found.keys())
    both = np.array([[without[number], found[number]] for number in rounds])  # [rounds, 2]
    draws = np.random.default_rng(0).integers(len(both), size=(RESAMPLES, len(both)))
    spreads = np.median(np.abs(both[draws]), axis=1)  # [resamples, 2]
    at = np.median(np.abs(both), axis=0)
    if not at.all() or not spreads.all():
        return _none("the trials don't differ, so that there is no spread to compare")
    low, high = np.percentile(spreads[:, 0] / spreads[:, 1], (2.5, 97.5))
    ratio = Ratio(float(at[0] / at[1]), float(low), float(high), len(rounds))
    interval = Interval(1 - 1 / ratio.value, 1 - 1 / ratio.low, 1 - 1 / ratio.high, ratio.n)
    return Figure(interval, decide(ratio, evidence.study.plan.threshold))


def rise(evidence: Pair | Fact, metric: str | None = None) -> Figure:
    """By how much a count or rate is higher with the optimization."""
    if isinstance(evidence, Fact):
        if evidence.before is None and evidence.interval is not None:
            return Figure(evidence.interval, Verdict.SAME)
        value = evidence.value - (evidence.before or 0.0)
        return Figure(Interval(value, value, value, 1), Verdict.SAME)
    name = metric or evidence.metric
    pairs = evidence.study.pairs(evidence.arm, name, evidence.against)
    if len(pairs.baseline) < 2:
        return _none("too few trials")
    interval = bootstrap_interval(np.subtract(pairs.other, pairs.baseline).tolist(), np.mean)
    return Figure(interval, evidence.judgement(name).verdict)


def level(evidence: Pair | Fact, metric: str | None = None) -> Figure:
    """The figure with the optimization on, by itself."""
    if isinstance(evidence, Fact):
        exact = Interval(evidence.value, evidence.value, evidence.value, 1)
        return Figure(evidence.interval or exact, Verdict.SAME)
    judgement = evidence.judgement(metric)
    if len(evidence.result.rounds) < 2:
        return Figure(None, judgement.verdict, judgement.reason or "too few trials")
    return Figure(evidence.level(metric or evidence.metric), judgement.verdict, judgement.reason)


def utilization(evidence: Pair | Fact, metric: str | None = None) -> Figure:
    """A share of the whole with the optimization on; that it is higher is no verdict on time."""
    found = level(evidence, metric)
    usable = found.verdict not in (Verdict.DISTURBED, Verdict.FAILED)
    return Figure(found.interval, Verdict.SAME if usable else found.verdict, found.reason)


def ttfa_ms(evidence: Pair | Fact, metric: str | None = None) -> Figure:
    """Time to first audio, ms."""
    return level(evidence, metric or "ttfa_ms")


def seconds(evidence: Pair | Fact, metric: str | None = None) -> Figure:
    """Time of the whole in seconds."""
    found = level(evidence, metric or "generation_ms")
    one = found.interval
    scaled = one and Interval(one.value / 1e3, one.low / 1e3, one.high / 1e3, one.n)
    return Figure(scaled, found.verdict, found.reason)


def chars_per_s(evidence: Pair | Fact, metric: str | None = None) -> Figure:
    """Characters of text spoken in a second of generation."""
    if isinstance(evidence, Fact):
        return level(evidence)
    judgement = evidence.judgement()
    times_ms = evidence.result.of(metric or "generation_ms")
    if len(times_ms) < 2:
        return Figure(None, judgement.verdict, judgement.reason or "too few trials")
    rates = [1e3 * n / t for n, t in zip(characters(evidence.result), times_ms, strict=True)]
    return Figure(bootstrap_interval(rates), judgement.verdict, judgement.reason)


FIGURES: Mapping[str, Callable[[Pair | Fact, str | None], Figure]] = {
    "speedup": speedup,
    "saving": saving,
    "memory_ratio": memory_ratio,
    "ms_saved": ms_saved,
    "ttfa_saving": ttfa_saving,
    "first_call_saving": saving,
    "variance_saving": variance_saving,
    "false_turn_saving": saving,
    "bandwidth_saving": saving,
    "wer_increase": rise,
    "allocations": level,
    "fails": level,
    "gpu_utilization": utilization,
    "ttfa_ms": ttfa_ms,
    "ms": level,
    "seconds": seconds,
    "chars_per_s": chars_per_s,
}


def _judged(evidence: Pair | Fact, metric: str | None) -> Judgement:
    if isinstance(evidence, Pair):
        return evidence.judgement(metric)
    if evidence.ratio is not None:
        return Judgement(decide(evidence.ratio, _EXACT), evidence.ratio)
    if not evidence.before or not evidence.value:
        return Judgement(Verdict.AMBIGUOUS, None, "there is no ratio to a figure of zero")
    value = evidence.before / evidence.value
    ratio = Ratio(value, value, value, 1)
    return Judgement(decide(ratio, _EXACT), ratio)


def _none(reason: str) -> Figure:
    return Figure(None, Verdict.AMBIGUOUS, reason)


def _rests(pair: Pair, arm: str, metric: str) -> dict[int, float]:
    """By round: what a sample differs by from the median of its text and process."""
    result = pair.study.result(arm)
    texts = len(result.arm.kwargs.get("texts") or [""])
    rows = list(zip(result.rounds, result.start_of, result.of(metric), strict=True))
    groups: dict[tuple[int, int], list[float]] = {}
    for number, start, value in rows:
        groups.setdefault((number % texts, start), []).append(value)
    medians = {key: float(np.median(values)) for key, values in groups.items()}
    return {number: value - medians[number % texts, start] for number, start, value in rows}
