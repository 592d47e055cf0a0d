"""The report of a notebook: what it measured, showed and concluded, written as a record.

report = lab.begin("10_baseline", "Where a sentence's time goes", dict(engine=engine))
report.measure("ttfa", [speech.ttfa_ms for speech in speeches], "ms")
report.figure("stages", fig, alt="The depth decoder takes 71 % of each frame.")
report.deliverable("four sentences spoken", len(speeches) == 4)
report.conclude("The depth decoder takes 71 % of the time.")
"""

from __future__ import annotations

import csv
import html
import io
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from workbench.audio import Audio
from workbench.cloning.mark import write_marked
from workbench.errors import InputError, RecordError
from workbench.files import write_bytes, write_text
from workbench.measure import record as records
from workbench.measure.record import Artifact, Deliverable, Metric, Record

RECORD_VARIABLE = "WORKBENCH_RECORD"  # where a batch wants the record; unset in JupyterLab


def begin(
    name: str, title: str | None = None, parameters: Mapping[str, Any] | None = None
) -> Report:
    """Starts the report of the notebook ``name``; notes the time and the machine's state.

    ``parameters`` are those the result depends on, as ``dict(engine=engine, repeats=repeats)``.
    """
    return Report(name, title or name, parameters or {})


class Report:
    """Collects what a notebook measures and shows; ``conclude`` writes the record.

    Its methods return nothing, so that a cell may end with any of them.
    """

    def __init__(self, name: str, title: str, parameters: Mapping[str, Any]) -> None:
        from workbench.hardware.fingerprint import fingerprint

        self.name = _slug(name)
        self.title = title
        self.path = _record_path(self.name)
        self.parameters = {key: _json_value(value) for key, value in parameters.items()}
        self._metrics: dict[str, Metric] = {}
        self._artifacts: dict[str, Artifact] = {}
        self._deliverables: dict[str, Deliverable] = {}
        self._started_utc = records.utc_now()
        self._started = time.perf_counter()
        self._environment = _json_value(fingerprint())

    @property
    def files(self) -> Path:
        """Folder for the files that belong to the record, beside it."""
        return self.path.with_name(self.path.name.removesuffix(".record.json") + "_files")

    def measure(self, name: str, samples: float | Iterable[float], unit: str) -> None:
        """Keeps raw ``samples`` of one quantity, in the order taken; one number is one sample."""
        taken = [samples] if isinstance(samples, (int, float)) else list(samples)
        self._metrics[name] = Metric(name, unit, tuple(float(sample) for sample in taken))

    def figure(self, name: str, figure: Any, alt: str, *, show: bool = True) -> None:
        """Saves a matplotlib figure beside the record and, unless ``show=False``, shows it."""
        from workbench.lab.display import png

        write_bytes(self._file(name, ".png"), png(figure))
        self._register("figure", name, ".png", alt)
        if show:
            from workbench.lab.display import show as show_figure

            show_figure(figure, alt)

    def clip(
        self, name: str, audio: Audio, alt: str, mark: Mapping[str, Any] | None = None
    ) -> None:
        """Saves a clip beside the record, without loss (FLAC); ``alt`` says what one hears.

        ``mark`` says in the file that it is synthetic (``workbench.cloning.mark.provenance``).
        """
        if mark is None:
            Audio(audio.samples, audio.rate_hz).write(self._file(name, ".flac"))
        else:
            write_marked(self._file(name, ".flac"), audio, mark)
        self._register("clip", name, ".flac", alt)

    def table(self, name: str, rows: Sequence[Mapping[str, Any]], alt: str) -> None:
        """Saves rows (one dict each, the same keys) as CSV beside the record."""
        if not rows:
            raise InputError(f"table {name!r} has no rows", "pass at least one")
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self._file(name, ".csv"), text.getvalue())
        self._register("table", name, ".csv", alt)

    def deliverable(self, name: str, ok: bool) -> None:
        """Notes that the notebook promised ``name`` and whether it is there; a run with one
        missing has failed.
        """
        self._deliverables[name] = Deliverable(name, bool(ok))

    def conclude(self, verdict: str) -> None:
        """Writes the record, shows the ``verdict`` and says where the record is."""
        from workbench.hardware.fingerprint import state

        if not verdict.strip():
            raise RecordError(f"report {self.name!r} has no verdict", "say what was learned")
        complete = all(deliverable.ok for deliverable in self._deliverables.values())
        record = Record(
            kind="notebook",
            name=self.name,
            title=self.title,
            status="ok" if complete else "failed",
            verdict=verdict.strip(),
            started_utc=self._started_utc,
            duration_s=round(time.perf_counter() - self._started, 3),
            parameters=self.parameters,
            environment_before=self._environment,
            environment_after=_json_value(state()),
            metrics=tuple(self._metrics.values()),
            artifacts=tuple(self._artifacts.values()),
            deliverables=tuple(self._deliverables.values()),
        )
        records.write(self.path, record)
        _show(record, self.path)

    def _file(self, name: str, suffix: str) -> Path:
        return self.files / f"{_slug(name)}{suffix}"

    def _register(
        self, kind: Literal["table", "figure", "clip"], name: str, suffix: str, alt: str
    ) -> None:
        if not alt.strip():
            raise InputError(f"{kind} {name!r} has no alt text", "say in words what it shows")
        path = f"{self.files.name}/{self._file(name, suffix).name}"
        self._artifacts[name] = Artifact(kind, name, path, alt)


def _record_path(name: str) -> Path:
    asked = os.environ.get(RECORD_VARIABLE)
    if asked:
        return Path(asked)
    return records.outputs_dir() / "interactive" / name / f"{name}.record.json"


def _slug(name: str) -> str:
    """``name`` where it can be a file's name; InputError otherwise."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise InputError(f"{name!r} can't name a file", "use letters, digits, '-', '_' and '.'")
    return name


def _json_value(value: Any) -> Any:
    """``value`` as JSON knows it: numpy scalars and arrays, sets and paths become plain."""
    if isinstance(value, Mapping):
        return {str(key): _json_value(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_json_value(inner) for inner in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if hasattr(value, "tolist"):
        return _json_value(value.tolist())
    return str(value)


def _show(record: Record, path: Path) -> None:
    """Displays the verdict; as text where there is no notebook."""
    interactive = not os.environ.get(RECORD_VARIABLE)
    where = records.portable(str(path)) if interactive else path.name
    missing = f"Missing: {', '.join(record.missing)}." if record.missing else ""
    plain = f"{record.verdict}\n{missing}\nRecord: {where}".replace("\n\n", "\n")
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        get_ipython = None
    if get_ipython is None or get_ipython() is None:
        print(plain)
        return
    color = "#b3261e" if record.missing else "#2e7d5b"
    link = html.escape(where)
    if not interactive:
        link = f'<a href="{link}">{link}</a>'
    missing = f'<p style="margin:.4em 0 0;color:{color}">{html.escape(missing)}</p>'
    rich = (
        f'<div class="verdict" role="note" style="border-left:.3em solid {color};'
        f'padding:.6em 1em;margin:.6em 0;max-width:46em">'
        f'<p style="margin:0;font-size:1.15em;line-height:1.45">{html.escape(record.verdict)}</p>'
        f"{missing if record.missing else ''}"
        f'<p style="margin:.4em 0 0;font-size:.85em;opacity:.75">Record: {link}</p></div>'
    )
    display({"text/html": rich, "text/plain": plain}, raw=True)
