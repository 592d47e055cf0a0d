"""An executed notebook and its record as one HTML page that works offline and can be mailed."""

from __future__ import annotations

import contextlib
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from workbench.measure.record import Record

TEMPLATES = Path(__file__).parent / "templates"
SHORT_CELL_LINES = 8  # code of at most this many lines is shown unfolded

# The browser itself refuses to load anything from elsewhere, whatever an output holds.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; font-src data:"
)
STATUS_WORDS = {"ok": "✓ done", "failed": "✗ failed"}
_REMOTE = re.compile(
    r"<(script|link|img|iframe|audio|video|source)\b[^>]*?\b(?:src|href)=[\"']?(?:https?:)?//"
    r"[^>]*>(?:\s*</\1>)?",
    re.IGNORECASE,
)
_IMAGE_WITHOUT_ALT = re.compile(r"<img\b(?![^>]*\balt=)", re.IGNORECASE)


def render(node: Any, record: Record) -> str:
    """The page of the executed notebook ``node`` whose outcome is ``record``."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        template_name="workbench",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    _drop_title(node)
    _settle_streams(node)
    html, _ = exporter.from_notebook_node(node, resources={"workbench": _facts(record)})
    html = _REMOTE.sub("<em>[left out: it would be loaded from the network]</em>", html)
    return _IMAGE_WITHOUT_ALT.sub('<img alt="A picture without description"', html)


def style() -> str:
    """The style sheet of pages and gallery, with the colours of code."""
    return (TEMPLATES / "style.css").read_text(encoding="utf-8") + _code_style()


def machine(record: Record) -> str:
    """The machine of a record in a few words."""
    from workbench.hardware.fingerprint import label

    with contextlib.suppress(KeyError, TypeError):  # another tool's record may know less
        return label(record.environment_before)
    return "unknown machine"


def commit(record: Record) -> str:
    """The git revision of a record, with a mark where there were uncommitted changes."""
    workbench = record.environment_before.get("workbench") or {}
    revision = str(workbench.get("git_revision") or "")[:10]
    return revision + (" with changes" if revision and workbench.get("git_dirty") else "")


def disturbances(record: Record) -> list[str]:
    """What may have disturbed the measurements, in sentences."""
    from workbench.hardware.fingerprint import drift

    with contextlib.suppress(KeyError, TypeError):
        return drift(record.environment_before, record.environment_after)
    return []


def when(record: Record) -> str:
    """The start of a run as people read it."""
    return f"{datetime.fromisoformat(record.started_utc):%d %B %Y, %H:%M} UTC".lstrip("0")


def took(record: Record) -> str:
    """The duration of a run as people read it."""
    seconds = record.duration_s
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _facts(record: Record) -> dict[str, Any]:
    return {
        "record": record,
        "policy": POLICY,
        "style": style(),
        "status": STATUS_WORDS[record.status],
        "when": when(record),
        "took": took(record),
        "machine": machine(record),
        "commit": commit(record),
        "disturbances": disturbances(record),
        "short_cell": SHORT_CELL_LINES,
    }


def _drop_title(node: Any) -> None:
    """Takes the first heading out of the notebook: the page's header has it."""
    for cell in node.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\A\s*# .+\n?", "", cell.source)
            return


def _settle_streams(node: Any) -> None:
    """Leaves of lines that were written over only what stands at the end, as a terminal does."""
    for cell in node.cells:
        outputs = cell.get("outputs", [])
        for output in outputs:
            if output.output_type == "stream":
                lines = [line.rsplit("\r", 1)[-1] for line in output.text.split("\n")]
                output.text = "\n".join(lines)
        kept = [one for one in outputs if one.output_type != "stream" or one.text.strip()]
        if len(kept) < len(outputs):
            cell.outputs = kept


@cache
def _code_style() -> str:
    from pygments.formatters import HtmlFormatter

    def rules(style: str) -> str:
        lines = HtmlFormatter(style=style).get_style_defs(".highlight").splitlines()
        return "\n".join(line for line in lines if re.match(r"\.highlight \.\w+ \{", line))

    light, dark = rules("default"), rules("github-dark")
    return f"\n{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"
