"""What came of a notebook: its final record, and whether an earlier one still holds."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from workbench.errors import RecordError
from workbench.measure import record as records
from workbench.measure.record import Failure, Record
from workbench.runner.execute import Execution
from workbench.runner.notebook import Notebook
from workbench.runner.scrub import Scrubber


def final_record(
    notebook: Notebook,
    given: dict[str, Any],
    execution: Execution,
    started_utc: str,
    work: Path,
    scrubber: Scrubber,
) -> Record:
    """The record the notebook wrote, completed with what only the runner knows; or one that says
    why there is none. A record alone is not enough: exceptions, missing deliverables and missing
    files make it ``failed``.
    """
    from workbench.hardware.fingerprint import fingerprint

    failure = execution.failure
    path = work / f"{notebook.name}.record.json"
    try:
        record = records.read(path)
        missing = record.missing + [
            artifact.path for artifact in record.artifacts if not (work / artifact.path).is_file()
        ]
        if missing:
            failure = failure or Failure("MissingDeliverable", f"missing: {', '.join(missing)}")
    except RecordError as problem:
        failure = failure or Failure("RecordError", _no_record(problem, path))
        record = Record("notebook", notebook.name, notebook.title, "failed", "", started_utc, 0.0,
                        environment_before=fingerprint())  # fmt: skip
    record = replace(
        record,
        name=notebook.name,
        title=notebook.title if notebook.variant else record.title,
        status="failed" if failure else "ok",
        error=failure,
        started_utc=started_utc,
        duration_s=round(execution.duration_s, 3),
        parameters={**record.parameters, **_effective(notebook, given)},
        source=notebook.path.name,
        source_sha256=notebook.sha256,
    )
    return records.checked(scrubber.value(asdict(record)), f"record {record.name!r}")


def _no_record(problem: RecordError, path: Path) -> str:
    if path.is_file():
        return f"its record is not valid: {problem.what}"
    return "it ended without a record: a notebook's last cell calls report.conclude(…)"


def _effective(notebook: Notebook, given: dict[str, Any]) -> dict[str, Any]:
    return {name: one.default for name, one in notebook.parameters.items()} | given


def outdated(record: Record, notebook: Notebook, given: dict[str, Any]) -> str:
    """Why ``record`` no longer holds, empty where it does."""
    if record.status != "ok":
        return "it failed" + (f": {record.error.type}" if record.error else "")
    if record.source_sha256 != notebook.sha256:
        return "the notebook has changed"
    wanted = records.portable(_effective(notebook, given))
    changed = [
        name for name, value in wanted.items()
        if name not in record.parameters or record.parameters[name] != value
    ]  # fmt: skip
    return f"parameter {', '.join(changed)} differs" if changed else ""
