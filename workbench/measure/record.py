"""The record: what ran, where, with which figures. The schema is this module and nothing else.

A record is one JSON file, written whole or not at all, checked when written and when read. It
keeps raw samples; medians and intervals are derived from them by whoever reads it. It names no
folder of the machine it was made on, so that it can be mailed and committed.
"""

from __future__ import annotations

import json
import math
import re
import sys
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from workbench.errors import RecordError
from workbench.files import write_json

SCHEMA_VERSION = 3  # 2: details of arms and studies; 3: the start that each sample belongs to

Kind = Literal["notebook", "arm", "study", "bench"]
Status = Literal["ok", "failed"]


@dataclass(frozen=True)
class Metric:
    """Raw ``samples`` of one quantity, in the order they were taken."""

    name: str
    unit: str
    samples: tuple[float, ...]


@dataclass(frozen=True)
class Artifact:
    """A file beside the record: ``path`` is relative to the record's folder, ``alt`` says in words
    what it shows or sounds like.
    """

    kind: Literal["table", "figure", "clip"]
    name: str
    path: str
    alt: str


@dataclass(frozen=True)
class Deliverable:
    """Something the run had promised, and whether it was there at the end."""

    name: str
    ok: bool


@dataclass(frozen=True)
class Failure:
    """Why a run failed: the exception's type and message and the last lines of its traceback."""

    type: str
    message: str
    traceback: str = ""


@dataclass(frozen=True)
class Record:
    """One run. ``environment_*`` is the machine as `hardware.fingerprint` tells it.

    ``verdict`` says in words what was learned. ``details`` is what else must be kept to judge the
    samples, such as the order of trials and the machine's state in between. ``source`` and
    ``source_sha256`` name the notebook and the hash of its cells, so that a later batch knows
    whether this result still holds.
    """

    kind: Kind
    name: str
    title: str
    status: Status
    verdict: str
    started_utc: str
    duration_s: float
    parameters: dict[str, Any] = field(default_factory=dict)
    environment_before: dict[str, Any] = field(default_factory=dict)
    environment_after: dict[str, Any] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    deliverables: tuple[Deliverable, ...] = ()
    source: str | None = None
    source_sha256: str | None = None
    error: Failure | None = None
    details: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def missing(self) -> list[str]:
        """Names of the promised deliverables that were not there."""
        return [deliverable.name for deliverable in self.deliverables if not deliverable.ok]

    def metric(self, name: str) -> Metric:
        """The metric called ``name``; RecordError where there is none."""
        for metric in self.metrics:
            if metric.name == name:
                return metric
        known = ", ".join(metric.name for metric in self.metrics) or "none"
        raise RecordError(f"record {self.name!r} has no metric {name!r}", f"it has: {known}")


def write(path: Path | str, record: Record) -> Path:
    """Checks ``record``, takes the machine's folders out of its texts and writes it whole.

    Raises RecordError for anything the schema doesn't allow, OutputError where it can't be
    written.
    """
    path = Path(path)
    sound = checked(portable(asdict(record)), f"record {record.name!r}")
    write_json(path, asdict(sound))
    return path


def read(path: Path | str) -> Record:
    """The record at ``path``; RecordError where it is missing, torn or not of this schema."""
    path = Path(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise RecordError(
            f"no record at {path.name}", "give the path of a record, or run it again"
        ) from problem
    except ValueError as problem:
        raise RecordError(f"{path.name} is not JSON: {problem}", "run it again") from problem
    return checked(value, path.name)


def failed(record: Record, error: Failure) -> Record:
    """``record`` with status ``failed`` and the reason."""
    return replace(record, status="failed", error=error)


def utc_now() -> str:
    """The time now as the record keeps it: ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def outputs_dir() -> Path:
    """Where results go unless told otherwise: ``outputs/`` of the checkout, or of the folder one
    works in where the package is installed.
    """
    root = Path(__file__).resolve().parents[2]
    return (root if (root / "pyproject.toml").is_file() else Path.cwd()) / "outputs"


# -- The machine's folders ---------------------------------------------------------------------


def machine_folders() -> dict[str, str]:
    """Folders that tell whose machine it was, each with what stands for it in outputs."""
    folders = {str(Path(__file__).resolve().parents[2]): "[workbench]", str(Path.home()): "~"}
    if sys.prefix != sys.base_prefix:
        folders[sys.prefix] = "[venv]"
    return {folder: marker for folder, marker in folders.items() if len(folder) > 1}


def folder_pattern(folders: dict[str, str]) -> re.Pattern[str]:
    """Matches any of ``folders`` as a whole path or a path's start; group 2 is the folder.

    Group 1 is what stands before it: nothing that could be the middle of a longer word, or the
    end of a terminal colour code.
    """
    longest_first = sorted(folders, key=len, reverse=True)
    alternatives = "|".join(re.escape(folder) for folder in longest_first)
    return re.compile(rf"(^|[^\w.\-]|\x1b\[[\d;]*m)({alternatives})(?![\w\-])")


def portable(value: Any) -> Any:
    """``value`` with the machine's folders replaced in every text of it."""
    folders = machine_folders()
    pattern = folder_pattern(folders)

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return pattern.sub(lambda match: match[1] + folders[match[2]], value)
        if isinstance(value, dict):
            return {walk(key): walk(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [walk(inner) for inner in value]
        return value

    return walk(value)


# -- Checks ------------------------------------------------------------------------------------


def checked(value: Any, where: str) -> Record:
    """``value`` as a record, or a RecordError that says which entry is wrong and how."""
    version = value.get("schema_version") if isinstance(value, dict) else None
    if version != SCHEMA_VERSION:
        raise RecordError(
            f"{where} has schema version {version!r}, this workbench reads {SCHEMA_VERSION}",
            "run it again, or read it with the version that wrote it",
        )
    record: Record = _built(Record, value, where)
    _refuse(portable(value) != _plain(value), where, "names a folder of this machine")
    try:
        started = datetime.fromisoformat(record.started_utc)
    except ValueError:
        started = None
    utc = started is not None and started.utcoffset() is not None and not started.utcoffset()
    _refuse(not utc, f"{where}: started_utc", f"is no UTC time: {record.started_utc!r}")
    _refuse(record.duration_s < 0, f"{where}: duration_s", "is negative")
    for artifact in record.artifacts:
        _refuse(
            not _is_relative(artifact.path),
            f"{where}: artifact {artifact.name!r}",
            f"must lie below the record's folder, got {artifact.path!r}",
        )
        _refuse(not artifact.alt.strip(), f"{where}: artifact {artifact.name!r}", "has no alt text")
    for group in (record.metrics, record.artifacts, record.deliverables):
        names = [entry.name for entry in group]
        twice = sorted({name for name in names if names.count(name) > 1})
        _refuse(bool(twice), where, f"names twice: {', '.join(twice)}")
    if record.status == "ok":
        _refuse(not record.verdict.strip(), where, "is ok but has no verdict")
        _refuse(record.error is not None, where, "is ok but has an error")
        _refuse(bool(record.missing), where, f"is ok but lacks {', '.join(record.missing)}")
    return record


def _is_relative(path: str) -> bool:
    pure = PurePosixPath(path)
    return bool(path) and not (
        pure.is_absolute() or ".." in pure.parts or "\\" in path or ":" in path or path[0] == "~"
    )


def _refuse(wrong: bool, where: str, what: str) -> None:
    if wrong:
        raise RecordError(f"{where} {what}", "correct the code that made the record")


def _plain(value: Any) -> Any:
    """``value`` with tuples as lists, as JSON has them."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _built(kind: Any, value: Any, where: str) -> Any:
    """``value`` as ``kind``: a dataclass, a plain type or a generic of those."""
    if is_dataclass(kind) and isinstance(kind, type):
        _expect(isinstance(value, dict), where, "an object", value)
        known = {entry.name for entry in fields(kind)}
        unknown, absent = sorted(set(value) - known), sorted(known - set(value))
        _refuse(bool(unknown), where, f"has unknown entries: {', '.join(unknown)}")
        _refuse(bool(absent), where, f"lacks entries: {', '.join(absent)}")
        types = get_type_hints(kind)
        return kind(**{key: _built(types[key], value[key], f"{where}: {key}") for key in value})
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        inner = next(argument for argument in arguments if argument is not NoneType)
        return None if value is None else _built(inner, value, where)
    if origin is Literal:
        _expect(value in arguments, where, " or ".join(map(repr, arguments)), value)
        return value
    if origin is tuple:
        _expect(isinstance(value, (list, tuple)), where, "a list", value)
        return tuple(_built(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is dict:
        _expect(isinstance(value, dict), where, "an object", value)
        return {key: _built(Any, inner, f"{where}: {key}") for key, inner in value.items()}
    if kind is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        _expect(number and math.isfinite(value), where, "a finite number", value)
        return float(value)
    if kind is Any:
        _check_json(value, where)
        return value
    exact = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    _expect(exact, where, f"a {kind.__name__}", value)
    return value


def _check_json(value: Any, where: str) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _expect(isinstance(key, str), where, "text as key", key)
            _check_json(inner, f"{where}: {key}")
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            _check_json(inner, f"{where}[{index}]")
    elif isinstance(value, float):
        _expect(math.isfinite(value), where, "a finite number", value)
    else:
        _expect(value is None or isinstance(value, (str, int)), where, "a JSON value", value)


def _expect(right: bool, where: str, expected: str, value: Any) -> None:
    shown = repr(value)
    _refuse(not right, where, f"must be {expected}, got {shown[:60]} ({type(value).__name__})")
