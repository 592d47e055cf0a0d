"""Two studies, or two arms, made at different times or on different machines.

Times of different machines are never compared. What can be compared is how many times as fast an
arm is as a baseline that both studies share; on one machine, also the times themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workbench.errors import InputError, RecordError
from workbench.hardware.fingerprint import label
from workbench.measure import record as records
from workbench.measure.plan import MIN_TRIALS, Plan
from workbench.measure.statistics import Ratio
from workbench.measure.study import ArmResult, Study
from workbench.measure.study_record import read_arm, read_study
from workbench.measure.verdict import Judgement, Pairs, Verdict, decide, start_estimate

_CONFIDENCE = 0.95
_Group = tuple[list[Any], int]  # one logarithm for each process; trials in all


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
        software_changes(a.environment_before, b.environment_before),
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
    return Change(name, by, _judged(_ratios(b.pairs(name)), _ratios(a.pairs(name)), threshold))


def _ratios(pairs: Pairs) -> _Group:
    logs = [start_estimate(np.log(first) - np.log(second)) for first, second in pairs.groups()]
    return logs, len(pairs)


def _by_time(a: ArmResult, b: ArmResult, metric: str, threshold: float) -> Judgement:
    return _judged(_times(a, metric), _times(b, metric), threshold)


def _times(result: ArmResult, metric: str) -> _Group:
    logs = [start_estimate(np.log(times)) for times in result.parts(metric)]
    return logs, len(result.rounds)


def _judged(first: _Group, second: _Group, threshold: float) -> Judgement:
    """``exp(first - second)`` with its interval, from one logarithm for each process.

    The two make no pairs: Welch's interval for the difference of two means.
    """
    (x, trials), (y, other_trials) = first, second
    if min(trials, other_trials) < MIN_TRIALS or min(len(x), len(y)) < 2:
        why = (
            f"{trials} and {other_trials} trials in {len(x)} and {len(y)} starts; "
            f"a verdict needs {MIN_TRIALS} in 2 of each"
        )
        return Judgement(Verdict.AMBIGUOUS, None, why)
    value, half = float(np.mean(x) - np.mean(y)), _welch_half(x, y)
    low, value, high = (float(np.exp(log)) for log in (value - half, value, value + half))
    ratio = Ratio(value, low, high, min(trials, other_trials), _CONFIDENCE)
    return Judgement(decide(ratio, threshold), ratio)


def _welch_half(x: Sequence[float], y: Sequence[float]) -> float:
    """Half the width of Welch's interval (1947) for the difference of two means."""
    from scipy.special import stdtrit

    errors = [float(np.var(values, ddof=1)) / len(values) for values in (x, y)]
    if not sum(errors):
        return 0.0
    parts = sum(error**2 / (len(values) - 1) for error, values in zip(errors, (x, y), strict=True))
    freedom = sum(errors) ** 2 / parts
    return float(stdtrit(freedom, (1 + _CONFIDENCE) / 2) * np.sqrt(sum(errors)))


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
        software_changes(one.environment_before, other.environment_before),
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


def software_changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[str, ...]:
    """Versions that differ between two environments, as "torch: 2.11 → 2.12"."""

    def versions(environment: Mapping[str, Any]) -> dict[str, Any]:
        ours = environment.get("workbench", {})
        own = {"workbench": ours.get("version"), "revision": ours.get("git_revision")}
        return {**environment.get("libraries", {}), "driver": environment.get("driver"), **own}

    first, second = versions(a), versions(b)
    names = [name for name in first if first[name] != second.get(name)]
    return tuple(f"{name}: {first[name]} → {second.get(name)}" for name in names)
