"""A batch: checks everything first, runs one notebook after another, writes the gallery."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat

from workbench.errors import InputError, OutputError, RecordError
from workbench.files import write_text
from workbench.measure import record as records
from workbench.measure.record import Record
from workbench.runner import gallery, page
from workbench.runner.execute import execute
from workbench.runner.notebook import Notebook, find
from workbench.runner.outcome import final_record, outdated
from workbench.runner.parameters import assign
from workbench.runner.progress import Progress
from workbench.runner.scrub import Scrubber

INTERRUPTED = 130
TEXT_SUFFIXES = (".csv", ".json", ".txt", ".md")  # of a notebook's files, these are scrubbed


@dataclass(frozen=True)
class NotebookResult:
    """How one notebook went. ``skipped`` where an earlier record still holds."""

    name: str
    title: str
    status: str
    verdict: str
    error: str
    duration_s: float
    record_path: Path
    page_path: Path
    skipped: bool = False


@dataclass(frozen=True)
class RunResult:
    """How a batch went. ``exit_code``: 0 all well, 1 some failed, 130 interrupted."""

    exit_code: int
    index_path: Path
    notebooks: list[NotebookResult]


def run(
    notebooks: list[str] | None = None,
    parameters: dict[str, Any] | None = None,
    *,
    out: Path | None = None,
    smoke: bool = False,
    resume: bool = False,
    all: bool = False,
    timeout_s: float | None = None,
    sweep: tuple[str, list[str]] | None = None,
) -> RunResult:
    """Runs notebooks into the folder ``out`` and writes the gallery of their pages.

    Names and parameters are checked before anything runs (InputError, OutputError). Each value
    goes to the notebooks that declare its name. ``smoke`` takes each notebook's quick parameters.
    ``resume`` leaves out what already has a valid record of the same source and parameters,
    in ``out`` or else in the newest batch. ``sweep``, a parameter and its values, runs the
    notebooks that declare it once for each value, each with a page of its own.
    """
    chosen, swept = _variants(find(notebooks, all=all), sweep)
    given = assign(parameters or {}, {one.name: one.parameters for one in chosen})
    given = {name: {**values, **swept[name]} for name, values in given.items()}
    if smoke:
        given = {one.name: {**one.smoke, **given[one.name]} for one in chosen}
    out = _folder(out, resume)
    batch = _Batch(out, Progress(len(chosen)), timeout_s)
    _tell_takers(parameters or {}, chosen, batch.progress)
    results: list[NotebookResult] = []
    interrupted = False
    try:
        for notebook in chosen:
            earlier = batch.still_valid(notebook, given[notebook.name]) if resume else None
            results.append(earlier or batch.run(notebook, given[notebook.name]))
    except KeyboardInterrupt:
        interrupted = True
        batch.progress.stop()
        batch.progress.say("Interrupted: the kernel is stopped, what was finished stays.")
    command = _command(notebooks, parameters or {}, sweep, smoke=smoke, all=all)
    not_run = [one.name for one in chosen[len(results) :]]
    index = gallery.write(out, command, not_run)
    failed = any(result.status != "ok" for result in results)
    return RunResult(INTERRUPTED if interrupted else int(failed), index, results)


class _Batch:
    """Runs notebooks into ``out``; each is published whole, its record last."""

    def __init__(self, out: Path, progress: Progress, timeout_s: float | None) -> None:
        self.out = out
        self.progress = progress
        self.timeout_s = timeout_s

    def still_valid(self, notebook: Notebook, given: dict[str, Any]) -> NotebookResult | None:
        """The earlier result where it still holds; says why or why not."""
        path = self.out / f"{notebook.name}.record.json"
        try:
            record = records.read(path)
        except RecordError as problem:
            reason = problem.what
        else:
            reason = outdated(record, notebook, given) or self._absent(record, notebook)
            if not reason:
                why = f"its record of {record.started_utc} has the same notebook and parameters"
                self.progress.skip(notebook.name, why)
                return _result(self.out, record, skipped=True)
        self.progress.say(f"{notebook.name} runs, because {reason}")
        return None

    def run(self, notebook: Notebook, given: dict[str, Any]) -> NotebookResult:
        """Executes one notebook in a folder of its own, then publishes what came of it."""
        # papermill adds a cell that sets the parameters it is given.
        self.progress.start(notebook, notebook.cells + bool(given))
        started_utc = records.utc_now()
        work = Path(tempfile.mkdtemp(prefix=".running-", dir=self.out))
        try:
            execution = execute(
                notebook,
                given,
                work,
                timeout_s=self.timeout_s or notebook.timeout_s,
                on_cell=self.progress.cell,
            )
            scrubber = Scrubber({str(self.out): "[outputs]", str(work): "[outputs]"})
            record = final_record(notebook, given, execution, started_utc, work, scrubber)
            self._publish(notebook, record, execution.output, work, scrubber)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        for found, times in scrubber.found.items():
            self.progress.say(f"  took out of {notebook.name}'s outputs: {found} ({times} times)")
        result = _result(self.out, record)
        self.progress.end(record.status, record.duration_s, result.error or record.verdict)
        return result

    def _publish(
        self, notebook: Notebook, record: Record, executed: Path, work: Path, scrubber: Scrubber
    ) -> None:
        source = executed if executed.is_file() else notebook.path
        node = nbformat.read(source, as_version=4)
        scrubber.notebook(node)
        html = page.render(node, record)
        for file in (work / f"{notebook.name}_files").glob("*"):
            if file.suffix in TEXT_SUFFIXES:
                file.write_text(scrubber.text(file.read_text(encoding="utf-8")), encoding="utf-8")
        target = self.out / f"{notebook.name}.record.json"
        target.unlink(missing_ok=True)  # until all is in place, there is no valid record
        _replace_folder(work / f"{notebook.name}_files", self.out / f"{notebook.name}_files")
        write_text(self.out / f"{notebook.name}.ipynb", nbformat.writes(node) + "\n")
        write_text(self.out / f"{notebook.name}.html", html)
        records.write(target, record)

    def _absent(self, record: Record, notebook: Notebook) -> str:
        wanted = [f"{notebook.name}.html", *(artifact.path for artifact in record.artifacts)]
        missing = [path for path in wanted if not (self.out / path).is_file()]
        return f"{missing[0]} is missing" if missing else ""


def _tell_takers(parameters: dict[str, Any], chosen: list[Notebook], progress: Progress) -> None:
    """Says which notebooks don't have a given parameter."""
    for name in parameters:
        without = [one.name for one in chosen if name not in one.parameters]
        if without:
            progress.say(f"parameter {name!r} does not exist in {', '.join(without)}: not passed")


def _result(out: Path, record: Record, skipped: bool = False) -> NotebookResult:
    error = record.error
    return NotebookResult(
        name=record.name,
        title=record.title,
        status=record.status,
        verdict=record.verdict,
        error=f"{error.type}: {error.message}" if error else "",
        duration_s=record.duration_s,
        record_path=out / f"{record.name}.record.json",
        page_path=out / f"{record.name}.html",
        skipped=skipped,
    )


def _folder(out: Path | None, resume: bool) -> Path:
    """The folder to write to, made and tried; OutputError where it can't be."""
    if out is None and resume:
        batches = sorted(path for path in records.outputs_dir().glob("20*Z") if path.is_dir())
        if not batches:
            raise InputError("there is no batch to resume", "name its folder with --out")
        out = batches[-1]
    if out is None:
        out = records.outputs_dir() / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}"
    out = Path(out).expanduser().resolve()
    try:
        out.mkdir(parents=True, exist_ok=True)
        for left_over in out.glob(".running-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        Path(tempfile.mkdtemp(prefix=".running-", dir=out)).rmdir()
    except OSError as problem:
        raise OutputError(
            f"can't write to {out}: {problem.strerror}", "choose a folder you may write to"
        ) from problem
    return out


def _replace_folder(source: Path, target: Path) -> None:
    if target.exists():
        shutil.rmtree(target)
    if source.is_dir():
        source.rename(target)


def _variants(
    notebooks: list[Notebook], sweep: tuple[str, list[str]] | None
) -> tuple[list[Notebook], dict[str, dict[str, Any]]]:
    """The notebooks, once for each value of a swept parameter, and what each variant is given."""
    if sweep is None:
        return notebooks, {one.name: {} for one in notebooks}
    name, values = sweep
    if not values or len(set(values)) < len(values):
        raise InputError(f"sweep of {name!r} over {values}", "give each value once, as a,b,c")
    assign({name: values[0]}, {one.name: one.parameters for one in notebooks})  # someone has it
    chosen: list[Notebook] = []
    given: dict[str, dict[str, Any]] = {}
    for notebook in notebooks:
        if name not in notebook.parameters:
            chosen.append(notebook)
            given[notebook.name] = {}
            continue
        for value in values:
            variant = notebook.varied(value)
            given[variant.name] = assign({name: value}, {variant.name: notebook.parameters})[
                variant.name
            ]
            chosen.append(variant)
    return chosen, given


def _command(
    notebooks: list[str] | None,
    parameters: dict[str, Any],
    sweep: tuple[str, list[str]] | None = None,
    *,
    smoke: bool,
    all: bool,
) -> str:
    import shlex

    words = ["workbench", "run", *(Path(name).name for name in notebooks or [])]
    for name, value in parameters.items():
        words += ["-p", name, str(value)]
    if sweep:
        words += ["--sweep", sweep[0], ",".join(sweep[1])]
    words += ["--smoke"] * smoke + ["--all"] * all
    return shlex.join(words)
