"""The gallery: one page with a card for each notebook of a batch."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import nbformat

from workbench.errors import RecordError
from workbench.files import write_text
from workbench.measure import record as records
from workbench.measure.record import Record
from workbench.runner import page

COVER_WIDTH_PX = 960
_RECORD = ".record.json"


def write(out: Path, order: list[str], command: str, not_run: list[str]) -> Path:
    """Writes ``index.html`` from the records in ``out``: those in ``order`` first, then others
    that lie there. ``command`` is what makes the batch again.
    """
    from jinja2 import Environment, FileSystemLoader

    found = _records(out)
    names = [name for name in order if name in found] + sorted(set(found) - set(order))
    cards = [_card(out, found[name]) for name in names]
    environment = Environment(loader=FileSystemLoader(page.TEMPLATES), autoescape=True)
    html = environment.get_template("gallery.html.j2").render(
        cards=cards,
        command=command,
        facts=_facts([found[name] for name in names]),
        not_run=not_run,
        policy=page.POLICY,
        style=page.style(),
        summary=_summary([found[name] for name in names], not_run),
    )
    index = out / "index.html"
    write_text(index, html)
    return index


def _records(out: Path) -> dict[str, Record]:
    found = {}
    for path in sorted(out.glob(f"*{_RECORD}")):
        try:
            record = records.read(path)
        except RecordError:
            continue
        if (out / f"{record.name}.html").is_file():
            found[path.name.removesuffix(_RECORD)] = record
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


def _summary(found: list[Record], not_run: list[str]) -> str:
    failed = sum(record.status == "failed" for record in found)
    parts = [f"{len(found)} notebook{'s' * (len(found) != 1)}"]
    parts.append(f"{failed} failed" if failed else "all done")
    if not_run:
        parts[-1] = f"{failed} failed, interrupted" if failed else "interrupted"
    return ", ".join(parts)
