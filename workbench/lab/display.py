"""Showing figures and tables so that everybody can read them: alt text and text twins."""

from __future__ import annotations

import html
import io
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from workbench.errors import InputError
from workbench.lab.style import DPI
from workbench.measure.statistics import Interval, Ratio


@dataclass(frozen=True)
class Rich:
    """Something a notebook shows: ``html`` where it can, ``text`` where it can't."""

    html: str
    text: str

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}

    def __str__(self) -> str:
        return self.text


def show(figure: Figure, alt: str) -> None:
    """Displays ``figure`` as a picture described by ``alt``, and closes it.

    ``alt`` says in words what the plot shows; it is also what a terminal prints. Raises InputError
    where it is empty.
    """
    from IPython.display import display

    if not alt.strip():
        raise InputError("a figure without alt text", "say in words what the plot shows")
    data = png(figure)
    width_px = int.from_bytes(data[16:20], "big")  # of the PNG's header
    display(
        {"image/png": data, "text/plain": alt},
        metadata={"image/png": {"alt": alt, "width": width_px // 2}},
        raw=True,
    )
    close(figure)


def png(figure: Figure, dpi: int = DPI) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def close(figure: Figure) -> None:
    """Lets go of a figure, also where pyplot holds it."""
    figure.clear()
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(figure)


def table(
    rows: Sequence[Mapping[str, Any]], caption: str, columns: Sequence[str] | None = None
) -> Rich:
    """A table: one dict a row, the keys are the header (with the unit in it), the first names rows.

    Numbers are right-aligned; an ``Interval`` shows as the figure with its interval beside it, None
    as a dash. Raises InputError for no rows or no caption.
    """
    if not rows or not caption.strip():
        raise InputError("a table without rows or caption", "pass at least one row and a caption")
    names = list(columns or dict.fromkeys(name for row in rows for name in row))
    cells = [[cell_text(row.get(name)) for name in names] for row in rows]
    numeric = [
        all(_is_number(row.get(name)) for row in rows if row.get(name) is not None)
        for name in names
    ]
    return Rich(
        _table_html(names, cells, numeric, caption), _table_text(names, cells, numeric, caption)
    )


def cell_text(value: Any) -> str:
    """A value as a table shows it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Interval):
        digits = _digits(value.value)
        sign = "×" if isinstance(value, Ratio) else ""
        return (
            f"{_plain(value.value, digits)}{sign} "
            f"({_plain(value.low, digits)}–{_plain(value.high, digits)})"
        )
    if isinstance(value, int):
        return _plain(value, 0)
    return number(value) if _is_number(value) else str(value)


def number(value: float) -> str:
    """Three significant digits, two below 1, never an exponent for what people measure."""
    return _plain(value, _digits(value))


def _is_number(value: Any) -> bool:
    if isinstance(value, Interval):
        return True
    return not isinstance(value, (bool, str)) and isinstance(value, (int, float))


def _digits(value: float) -> int:
    if not math.isfinite(value) or value == 0:
        return 0
    magnitude = math.floor(math.log10(abs(value)))
    return min(6, max(0, 2 - magnitude if magnitude >= 0 else 1 - magnitude))


def _plain(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}".replace("-", "−")


def _table_html(names: list[str], cells: list[list[str]], numeric: list[bool], caption: str) -> str:
    def align(column: int) -> str:
        side = "right" if numeric[column] else "left"
        wrap = "normal" if column else "nowrap"
        return (
            f"text-align:{side};padding:.3em .6em;white-space:{wrap};"
            "font-variant-numeric:tabular-nums"
        )

    head = "".join(
        f'<th scope="col" style="{align(i)};border-bottom:1px solid currentColor">'
        f"{html.escape(name)}</th>"
        for i, name in enumerate(names)
    )
    body = ""
    for row in cells:
        body += f'<tr><th scope="row" style="{align(0)};font-weight:600">{html.escape(row[0])}</th>'
        body += "".join(
            f'<td style="{align(i)}">{_cell_html(cell)}</td>' for i, cell in enumerate(row) if i
        )
        body += "</tr>"
    title = html.escape(caption)
    return (
        f'<div role="region" aria-label="{title}" tabindex="0" style="overflow-x:auto">'
        '<table style="border-collapse:collapse;margin:.5em 0;background:none;color:inherit">'
        '<caption style="caption-side:top;text-align:left;padding:.3em .8em;color:inherit">'
        f"{title}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell_html(cell: str) -> str:
    """Escaped; an interval stays in one piece, smaller, beside its figure or below it."""
    figure, bracket, interval = cell.partition(" (")
    if not bracket or not cell.endswith(")"):
        return html.escape(cell)
    small = "white-space:nowrap;opacity:.75"
    return f'{html.escape(figure)} <small style="{small}">({html.escape(interval)}</small>'


def _table_text(names: list[str], cells: list[list[str]], numeric: list[bool], caption: str) -> str:
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]

    def line(row: list[str]) -> str:
        return "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()

    return "\n".join(
        [caption, line(names), line(["─" * width for width in widths]), *map(line, cells)]
    )
