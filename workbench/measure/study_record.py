"""Studies in files: one record for the study and one for each arm, in a folder of their own.

    study.record.json            plan, order of trials, the machine's state, verdicts in words
    arms/tf32.record.json        raw samples, rounds, starts, status and reason

What is read back is checked as a whole: the records must belong together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from workbench.errors import InputError, OutputError, RecordError
from workbench.files import write_json
from workbench.measure import record as records
from workbench.measure.arm import Arm, unit_of
from workbench.measure.plan import Plan
from workbench.measure.record import Failure, Metric, Record
from workbench.measure.study import ArmResult, Start, Study
from workbench.measure.watch import Limits, Span

STUDY_FILE = "study.record.json"
ARMS_FOLDER = "arms"
_RECORD_OF = {
    "notebook": "the record of a notebook",
    "arm": "the record of an arm",
    "study": "the record of a study",
    "bench": "the record of a bench",
}


def write_study(folder: Path | str, study: Study) -> Path:
    """Writes all records of ``study`` into ``folder``; returns the study's own.

    Each is written whole or not at all. One that can't be written doesn't keep the others from
    it: the OutputError at the end names those that are missing, and ``study`` still has all.
    """
    folder = Path(folder)
    missing: list[OutputError] = []
    files = _files(study)
    for name, path in files.items():
        try:
            records.write(folder / path, _arm_record(study, name))
        except OutputError as problem:
            missing.append(problem)
    try:
        records.write(folder / STUDY_FILE, _study_record(study, files))
    except OutputError as problem:
        missing.append(problem)
    if missing:
        count = len(files) + 1
        raise OutputError(
            f"{len(missing)} of {count} records of study {study.name!r} are not written: "
            + "; ".join(problem.what for problem in missing),
            "free some space, then write the study again, or into another folder",
        )
    return folder / STUDY_FILE


def read_study(path: Path | str) -> Study:
    """The study in the folder ``path`` (or whose own record ``path`` is).

    Raises RecordError where a record is missing, torn, of another schema, or doesn't fit the rest.
    """
    path = Path(path)
    path = path / STUDY_FILE if path.is_dir() else path
    record = records.read(path)
    if record.kind != "study":
        raise RecordError(f"{path.name} is {_RECORD_OF[record.kind]}", "give a study's folder")
    return _study(record, lambda where: records.read(path.parent / where), path.name)


def write_checkpoint(path: Path | str, study: Study) -> None:
    """All records of an unfinished ``study`` in one file, so that they can't be torn apart.

    Raises OutputError where it can't be written.
    """
    files = _files(study)
    every = {where: _arm_record(study, name) for name, where in files.items()}
    every[STUDY_FILE] = _study_record(study, files)
    write_json(path, {where: records.portable(asdict(one)) for where, one in every.items()})


def read_checkpoint(path: Path | str) -> Study:
    """The unfinished study that `write_checkpoint` wrote.

    Raises RecordError where there is none, or one that is torn or of another schema.
    """
    path = Path(path)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        study = records.checked(kept[STUDY_FILE], path.name)
    except OSError as problem:
        raise RecordError(f"no checkpoint at {path.name}", "measure anew") from problem
    except (ValueError, KeyError, TypeError) as problem:
        raise RecordError(f"{path.name} is torn: {problem}", "delete it, measure anew") from problem
    return _study(study, lambda where: records.checked(kept[where], where), path.name)


def _study(record: Record, arm_at: Callable[[str], Record], source: str) -> Study:
    """The study of ``record``, whose arms' records ``arm_at`` finds by their paths."""
    details, where = record.details, f"{source}: details"
    try:
        arms = {
            entry["name"]: _arm_result(arm_at(entry["path"]), entry["name"])
            for entry in details["arms"]
        }
        study = Study(
            name=record.name,
            metric=record.parameters["metric"],
            plan=Plan(**record.parameters["plan"]),
            limits=Limits(**record.parameters["limits"]),
            results=arms,
            orders=tuple(tuple(order) for order in details["orders"]),
            spans=tuple(_span(entry) for entry in details["spans"]),
            layout=details["layout"],
            layout_reason=details["layout_reason"],
            stopped=details["stopped"],
            started_utc=record.started_utc,
            duration_s=record.duration_s,
            environment_before=record.environment_before,
            environment_after=record.environment_after,
            resumed_utc=tuple(details.get("resumed_utc", ())),
        )
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as problem:
        raise _unfit(where, problem) from problem
    _check(study, where)
    return study


def read_arm(path: Path | str) -> tuple[ArmResult, Record]:
    """One arm's result by itself, with its record (machine, metrics, study)."""
    record = records.read(path)
    if record.kind != "arm":
        raise RecordError(f"{Path(path).name} is {_RECORD_OF[record.kind]}", "give an arm's")
    return _arm_result(record, record.name), record


# -- Writing -----------------------------------------------------------------------------------


def _files(study: Study) -> dict[str, str]:
    """Where each arm's record lies, below the study's folder; two arms never share a file."""
    files: dict[str, str] = {}
    for name in study.results:
        slug = re.sub(r"[^\w.-]+", "-", name).strip("-.").lower() or "arm"
        if f"{ARMS_FOLDER}/{slug}.record.json" in files.values():
            slug = f"{slug}-{len(files)}"
        files[name] = f"{ARMS_FOLDER}/{slug}.record.json"
    return files


def _arm_record(study: Study, name: str) -> Record:
    result = study.results[name]
    is_baseline = result is study.baseline
    return Record(
        kind="arm",
        name=name,
        title=f"{name} in study {study.name}",
        status="failed" if result.error else "ok",
        verdict="the baseline" if is_baseline else str(study.judgement(name)),
        started_utc=study.started_utc,
        duration_s=study.duration_s,
        parameters={"study": study.name, "metric": study.metric, "arm": _plain(result.arm)},
        environment_before=_plain(study.environment_before),
        environment_after=_plain(study.environment_after),
        metrics=tuple(
            Metric(metric, unit_of(metric), samples) for metric, samples in result.samples.items()
        ),
        error=result.error,
        details={
            "about": _plain(result.about),
            "starts": _plain(result.starts),
            "rounds": list(result.rounds),
            "start_of": list(result.start_of),
            "rested": result.rested,
            "disturbed": list(study.disturbed),
        },
    )


def _study_record(study: Study, files: Mapping[str, str]) -> Record:
    error = study.baseline.error
    return Record(
        kind="study",
        name=study.name,
        title=f"{', '.join(study.others[1:]) or study.others[0]} against {study.baseline.arm.name}",
        status="failed" if error else "ok",
        verdict=study.verdict,
        started_utc=study.started_utc,
        duration_s=study.duration_s,
        parameters={
            "metric": study.metric,
            "plan": _plain(study.plan),
            "limits": _plain(study.limits),
        },
        environment_before=_plain(study.environment_before),
        environment_after=_plain(study.environment_after),
        error=Failure(error.type, study.failed, error.traceback) if error else None,
        details={
            "arms": [{"name": name, "path": path} for name, path in files.items()],
            "orders": _plain(study.orders),
            "spans": _plain(study.spans),
            "layout": study.layout,
            "layout_reason": study.layout_reason,
            "stopped": study.stopped,
            "resumed_utc": list(study.resumed_utc),
        },
    )


def _plain(value: Any) -> Any:
    """``value`` as JSON has it: dataclasses as objects, tuples as lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


# -- Reading -----------------------------------------------------------------------------------


def _arm_result(record: Record, name: str) -> ArmResult:
    where = f"the record of arm {name!r}"
    if record.kind != "arm" or record.name != name:
        raise RecordError(f"{where} is that of the {record.kind} {record.name!r}", "restore it")
    try:
        result = ArmResult(
            arm=Arm(**record.parameters["arm"]),
            starts=tuple(Start(**start) for start in record.details["starts"]),
            about=dict(record.details["about"]),
            rounds=tuple(int(number) for number in record.details["rounds"]),
            start_of=tuple(int(number) for number in record.details["start_of"]),
            samples={metric.name: metric.samples for metric in record.metrics},
            error=record.error,
            rested=bool(record.details["rested"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as problem:
        raise _unfit(where, problem) from problem
    for metric, samples in result.samples.items():
        if len(samples) != len(result.rounds):
            raise RecordError(
                f"{where} has {len(samples)} samples of {metric!r} for {len(result.rounds)} rounds",
                "it was changed after it was written: run the study again",
            )
    if len(result.start_of) != len(result.rounds) or not set(result.start_of) <= set(
        range(len(result.starts))
    ):
        raise RecordError(
            f"{where} has samples without the start they belong to",
            "it was changed after it was written: run the study again",
        )
    if len(set(result.rounds)) != len(result.rounds):
        raise RecordError(f"{where} has a round twice", "run the study again")
    return result


def _span(entry: Mapping[str, Any]) -> Span:
    return Span(**{**entry, "gpus": tuple(entry["gpus"])})


def _check(study: Study, where: str) -> None:
    """Whether the arms' records are those the study's record speaks of."""
    for name, result in study.results.items():
        ran = sum(name in order for order in study.orders)
        most = study.plan.trials if study.layout == "blocked" else ran
        foreign = not set(result.rounds) <= set(range(study.plan.trials))
        unmeasured = result.rounds and study.metric not in result.samples
        if foreign or unmeasured or len(result.rounds) > most:
            raise RecordError(
                f"{where}: arm {name!r} doesn't belong to this study's trials",
                "keep a study's records together, or run it again",
            )
    if not study.results:
        raise RecordError(f"{where}: no arms", "run the study again")


def _unfit(where: str, problem: Exception) -> RecordError:
    what = f"lacks {problem}" if isinstance(problem, KeyError) else f"can't be used: {problem}"
    return RecordError(f"{where} {what}", "it was changed after it was written: run it again")
