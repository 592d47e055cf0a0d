"""The gallery: one page with a card for each notebook of a batch."""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat

from workbench.errors import RecordError
from workbench.files import write_text
from workbench.measure import record as records
from workbench.measure.record import Record
from workbench.runner import page

COVER_WIDTH_PX = 960


def write(out: Path, command: str, not_run: Sequence[str] = ()) -> Path:
    """Writes ``index.html`` from the records in ``out``, earlier ones included, by their names.

    ``command`` is what makes the batch again; ``not_run`` names what an interruption left out.
    """
    from jinja2 import Environment, FileSystemLoader

    found = _records(out)
    cards = [_card(out, record) for record in found]
    environment = Environment(loader=FileSystemLoader(page.TEMPLATES), autoescape=True)
    html = environment.get_template("gallery.html.j2").render(
        cards=cards,
        command=command,
        facts=_facts(found),
        not_run=not_run,
        policy=page.POLICY,
        style=page.style(),
        summary=_summary(found, not_run),
    )
    index = out / "index.html"
    write_text(index, html)
    return index


def _records(out: Path) -> list[Record]:
    """The valid records in ``out`` that have a page."""
    found = []
    for path in sorted(out.glob("*.record.json")):
        with contextlib.suppress(RecordError):
            record = records.read(path)
            if (out / f"{record.name}.html").is_file():
                found.append(record)
    return found


def _card(out: Path, record: Record) -> dict[str, Any]:
    cover, alt = _cover(out / f"{record.name}.ipynb")
    return {
        "record": record,
        "cover": cover,
        "alt": alt,
        "status": page.STATUS_WORDS[record.status],
        "took": page.took(record),
        "machine": page.machine(record),
    }


def _cover(notebook: Path) -> tuple[str, str]:
    """The first plot of an executed notebook, made small, as a data URI with its alt text."""
    if not notebook.is_file():
        return "", ""
    for cell in nbformat.read(notebook, as_version=4).cells:
        for output in cell.get("outputs", []):
            picture = output.get("data", {}).get("image/png")
            if picture:
                alt = output.metadata.get("image/png", {}).get("alt", "First plot of the notebook")
                return _thumbnail(base64.b64decode(picture)), alt
    return "", ""


def _thumbnail(png: bytes) -> str:
    from PIL import Image

    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.thumbnail((COVER_WIDTH_PX, COVER_WIDTH_PX))
    buffer = io.BytesIO()
    picture.quantize(64).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _facts(found: list[Record]) -> list[tuple[str, str]]:
    if not found:
        return []
    facts = {
        "Machine": " / ".join(dict.fromkeys(page.machine(record) for record in found)),
        "Date": page.when(min(found, key=lambda record: record.started_utc)),
        "Commit": " / ".join(dict.fromkeys(filter(None, map(page.commit, found)))),
    }
    return [(name, value) for name, value in facts.items() if value]


def _summary(found: list[Record], not_run: Sequence[str]) -> str:
    failed = sum(record.status == "failed" for record in found)
    parts = [f"{len(found)} notebook{'s' * (len(found) != 1)}"]
    parts.append(f"{failed} failed" if failed else "all done")
    if not_run:
        parts[-1] = f"{failed} failed, interrupted" if failed else "interrupted"
    return ", ".join(parts)
