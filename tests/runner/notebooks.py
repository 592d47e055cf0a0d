"""Tiny notebooks that run in an instant: none of them imports torch."""

import json
from pathlib import Path

import nbformat

from workbench.measure.record import SCHEMA_VERSION

PARAMETERS = (
    "engine: str = 'csm-nano'  # which engine\nrepeats: int = 3\nscale: float | None = None"
)

# What report.conclude writes, without importing anything heavy in the kernel.
RECORD = """
import json, os, pathlib
record = {record}
path = pathlib.Path(os.environ["WORKBENCH_RECORD"])
path.write_text(json.dumps(record))
"""


def record(**changes) -> dict:
    return {
        "kind": "notebook",
        "name": "x",
        "title": "A tiny notebook",
        "status": "ok",
        "verdict": "It is <tiny> & quick.",
        "started_utc": "2026-01-02T03:04:05+00:00",
        "duration_s": 0.1,
        "parameters": {},
        "environment_before": {},
        "environment_after": {},
        "metrics": [],
        "artifacts": [],
        "deliverables": [],
        "source": None,
        "source_sha256": None,
        "error": None,
        "details": {},
        "schema_version": SCHEMA_VERSION,
    } | changes


def concluding(**changes) -> str:
    return RECORD.format(record=repr(record(**changes)))


def write(folder: Path, name: str, *cells: str, **metadata) -> str:
    """A notebook with a title, a parameters cell and ``cells`` (text that starts with ``#`` and a
    space is markdown); returns its path.
    """
    made = nbformat.v4
    node = made.new_notebook(metadata={"workbench": metadata})
    node.cells.append(made.new_markdown_cell(f"# The {name} notebook\nIt promises little."))
    node.cells.append(made.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}))
    for cell in cells:
        new = made.new_markdown_cell if cell.startswith("# ") else made.new_code_cell
        node.cells.append(new(cell))
    path = folder / f"{name}.ipynb"
    path.write_text(nbformat.writes(node))
    return str(path)


def read_record(path: Path) -> dict:
    return json.loads(path.read_text())
