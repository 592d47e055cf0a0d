"""Two studies, or two arms, made at different times or on different machines.

Times of different machines are never compared. What can be compared is how many times as fast an
arm is as a baseline that both studies share; on one machine, also the times themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workbench.errors import InputError, RecordError
from workbench.hardware.fingerprint import label
from workbench.measure import record as records
from workbench.measure.plan import MIN_TRIALS, Plan
from workbench.measure.statistics import Ratio, bootstrap_interval
from workbench.measure.study import ArmResult, Study
from workbench.measure.study_record import read_arm, read_study
from workbench.measure.verdict import Judgement, Verdict, decide, expanded, trimmed_mean

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Change:
    """What became of one arm from the first to the second; ratio above 1: it got faster.

    ``by`` is ``ratio`` where each was taken relative to the common baseline, ``time`` where times
    of one machine were compared directly.
    """

    arm: str
    by: Literal["ratio", "time"]
    judgement: Judgement


@dataclass(frozen=True)
class Comparison:
    """``software`` has the versions that differ, as "torch: 2.11 → 2.12"."""

    machines: tuple[str, str]
    metric: str
    changes: tuple[Change, ...]
    software: tuple[str, ...]
    only_in: tuple[tuple[str, ...], tuple[str, ...]]


def machine(environment: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells one machine from another: its processor, its memory, its GPUs.

    Raises RecordError where a record doesn't say on what it was made.
    """
    try:
        processor, devices = environment["cpu"], environment["gpus"]
        return (
            processor["model"],
            processor["physical_cores"],
            processor["logical_cores"],
            processor["usable_cores"],
            tuple(sorted(str(device["uuid"] or device["name"]) for device in devices)),
        )
    except (KeyError, TypeError) as problem:
        raise RecordError("a record doesn't say on what machine it was made", "run it again") from (
            problem
        )


def compare(a: Path | str, b: Path | str) -> Comparison:
    """Compares the studies in two folders, or the records of two arms.

    Raises RecordError for records that can't be read, InputError for those that can't be compared:
    different machines without a common baseline, different metrics, no arm in common.
    """
    first, second = (_kind(path) for path in (a, b))
    if first == "arm" and second == "arm":
        return _compare_arm_records(a, b)
    return compare_studies(read_study(a), read_study(b))


def compare_studies(a: Study, b: Study) -> Comparison:
    """Arm by arm: relative to the common baseline, or by time where one machine has none."""
    if a.metric != b.metric:
        raise InputError(
            f"one study measured {a.metric}, the other {b.metric}", "compare studies of one metric"
        )
    common_baseline = _same_arm(a.baseline, b.baseline)
    if not common_baseline:
        _require_one_machine(a.environment_before, b.environment_before)
    names = [name for name in a.others if name in b.results]
    if not common_baseline:
        names = [name for name in a.results if name in b.results]
    if not names:
        raise InputError("the two have no arm in common", "compare studies that share one")
    threshold = max(a.plan.threshold, b.plan.threshold)
    changes = [_change(name, a, b, threshold, common_baseline) for name in names]
    return Comparison(
        (label(dict(a.environment_before)), label(dict(b.environment_before))),
        a.metric,
        tuple(changes),
        _software(a.environment_before, b.environment_before),
        (
            tuple(name for name in a.results if name not in b.results),
            tuple(name for name in b.results if name not in a.results),
        ),
    )


def _change(name: str, a: Study, b: Study, threshold: float, relative: bool) -> Change:
    by: Literal["ratio", "time"] = "ratio" if relative else "time"
    for study in (a, b):
        error = study.failed or (study.results[name].error and study.judgement(name).reason)
        if error:
            return Change(name, by, Judgement(Verdict.FAILED, None, str(error)))
        if study.disturbed:
            why = f"study {study.name!r}: {'; '.join(study.disturbed)}"
            return Change(name, by, Judgement(Verdict.DISTURBED, None, why))
    if not relative:
        return Change(name, by, _by_time(a.results[name], b.results[name], a.metric, threshold))
    logs = [np.log(first) - np.log(second) for first, second in (a.pairs(name), b.pairs(name))]
    return Change(name, by, _judged(logs[1], logs[0], threshold))


def _by_time(a: ArmResult, b: ArmResult, metric: str, threshold: float) -> Judgement:
    return _judged(np.log(a.of(metric)), np.log(b.of(metric)), threshold)


def _judged(first: np.ndarray, second: np.ndarray, threshold: float) -> Judgement:
    """``exp(first - second)`` of logarithms that make no pairs, with its interval.

    Both are resampled on their own; the errors of independent estimates add in squares, so the
    interval's halves are added so (Zou and Donner's MOVER, 2008).
    """
    if min(len(first), len(second)) < MIN_TRIALS:
        why = f"{len(first)} and {len(second)} trials; a verdict needs {MIN_TRIALS} of each"
        return Judgement(Verdict.AMBIGUOUS, None, why)
    x, y = (
        bootstrap_interval(list(logs), trimmed_mean, expanded(_CONFIDENCE, len(logs)))
        for logs in (first, second)
    )
    value = x.value - y.value
    low = value - np.hypot(x.value - x.low, y.high - y.value)
    high = value + np.hypot(x.high - x.value, y.value - y.low)
    value, low, high = (float(np.exp(log)) for log in (value, low, high))
    ratio = Ratio(value, low, high, min(x.n, y.n), _CONFIDENCE)
    return Judgement(decide(ratio, threshold), ratio)


def _compare_arm_records(a: Path | str, b: Path | str) -> Comparison:
    """Two arms' times, which only one machine makes comparable."""
    (first, one), (second, other) = read_arm(a), read_arm(b)
    _require_one_machine(one.environment_before, other.environment_before)
    metric = str(one.parameters.get("metric"))
    if metric != other.parameters.get("metric"):
        raise InputError("the two arms were measured by different metrics", "compare studies")
    failed = one.error or other.error
    disturbed = [*one.details["disturbed"], *other.details["disturbed"]]
    if failed:
        judgement = Judgement(Verdict.FAILED, None, failed.message)
    elif disturbed:
        judgement = Judgement(Verdict.DISTURBED, None, "; ".join(disturbed))
    else:
        judgement = _by_time(first, second, metric, Plan().threshold)
    name = one.name if one.name == other.name else f"{one.name} → {other.name}"
    return Comparison(
        (label(one.environment_before), label(other.environment_before)),
        metric,
        (Change(name, "time", judgement),),
        _software(one.environment_before, other.environment_before),
        ((), ()),
    )


def _kind(path: Path | str) -> str:
    path = Path(path)
    return "study" if path.is_dir() else records.read(path).kind


def _require_one_machine(a: Mapping[str, Any], b: Mapping[str, Any]) -> None:
    if machine(a) != machine(b):
        raise InputError(
            f"one was made on {label(dict(a))}, the other on {label(dict(b))}, without a common "
            "baseline",
            "compare two studies whose baseline is the same arm, or measure on one machine",
        )


def _same_arm(a: ArmResult, b: ArmResult) -> bool:
    """Whether two results are of one arm: the same name, settings and weights."""
    ours, theirs = (
        (r.arm.name, r.arm.target, dict(r.arm.kwargs), r.about.get("weights")) for r in (a, b)
    )
    return ours == theirs


def _software(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[str, ...]:
    def versions(environment: Mapping[str, Any]) -> dict[str, Any]:
        ours = environment.get("workbench", {})
        own = {"workbench": ours.get("version"), "revision": ours.get("git_revision")}
        return {**environment.get("libraries", {}), "driver": environment.get("driver"), **own}

    first, second = versions(a), versions(b)
    names = [name for name in first if first[name] != second.get(name)]
    return tuple(f"{name}: {first[name]} → {second.get(name)}" for name in names)
