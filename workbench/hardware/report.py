"""Checks, ceilings and environment in one document, for the command line and for notebooks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from workbench.hardware.ceilings import measure_ceilings
from workbench.hardware.fingerprint import fingerprint, label
from workbench.hardware.validation import Check, Inquiry, validate, verdict

SYMBOLS = {"ok": "✓", "warning": "!", "failed": "✗", "absent": "·"}
WORDS = {"ok": "ok", "warning": "warning", "failed": "failed", "absent": "not on this machine"}


def hardware_report(
    budget_s: float = 6.0,
    *,
    output: Path | None = None,
    more: Sequence[Inquiry] = (),
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """``{"machine", "verdict", "checks", "ceilings", "environment"}``, JSON-able.

    ``budget_s`` is spent on the ceilings of each device; the other arguments are ``validate``'s.
    ``progress`` hears an empty name at the end.
    """
    checks = validate(output=output, more=more, progress=progress)
    if progress:
        progress("ceilings")
    environment = fingerprint()
    ceilings = measure_ceilings(budget_s).to_dict()
    if progress:
        progress("")
    return {
        "machine": label(environment),
        "verdict": verdict(checks),
        "checks": [check.to_dict() for check in checks],
        "ceilings": ceilings,
        "environment": environment,
    }


def format_report(report: dict[str, Any]) -> str:
    """The report for a terminal: the checks, what to do, then the ceilings."""
    checks = [Check(**row) for row in report["checks"]]
    width = max(len(check.name) for check in checks)
    status_width = max(len(WORDS[check.status]) for check in checks)
    lines = [report["machine"], ""]
    lines += [
        f"{SYMBOLS[check.status]} {check.name:<{width}}  {WORDS[check.status]:<{status_width}}  "
        f"{check.found}"
        for check in checks
    ]
    for title, wanted in (
        ("What to do", ("failed", "warning")),
        ("Not on this machine: nothing is wrong, and this could be gained", ("absent",)),
    ):
        advised = [check for check in checks if check.status in wanted and check.remedy]
        if advised:
            lines += ["", title]
            lines += [f"  {check.name:<{width}}  {check.remedy}" for check in advised]
    ceilings = report["ceilings"]
    lines += ["", "Ceilings (median, 10th and 90th percentile of n samples)"]
    lines += ["  " + line for line in _aligned(ceiling_rows(ceilings))]
    lines += [f"  {note}" for note in ceilings["notes"]]
    return "\n".join([*lines, "", report["verdict"]])


def check_rows(checks: Sequence[Check]) -> list[dict[str, str]]:
    """The table of checks for a notebook."""
    return [
        {
            "check": check.name,
            "status": f"{SYMBOLS[check.status]} {WORDS[check.status]}",
            "found": check.found,
            "what to do": check.remedy,
            "why it matters": check.why,
        }
        for check in checks
    ]


def ceiling_rows(ceilings: dict[str, Any]) -> list[dict[str, Any]]:
    """The table of ceilings, from ``Ceilings.to_dict()``; figures stay numbers."""
    return [
        {
            "ceiling": one["name"],
            "device": one["device"],
            "threads": one["threads"],
            "type": one["dtype"],
            "median": one["median"],
            "10 %": one["p10"],
            "90 %": one["p90"],
            "unit": one["unit"],
            "n": len(one["samples"]),
            "size": one["size"],
        }
        for one in ceilings["results"]
    ]


def say(step: str) -> None:
    """A ``progress`` for terminals: each step takes the line of the one before it on stderr."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{step} …" if step else "\r\x1b[K", end="", file=sys.stderr, flush=True)


def _aligned(rows: list[dict[str, Any]]) -> list[str]:
    """One line a row; text to the left, figures to the right."""
    table = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    right = [all(not isinstance(row[name], str) for row in rows) for name in rows[0]]
    return [
        "  ".join(
            cell.rjust(width) if figure else cell.ljust(width)
            for cell, width, figure in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in table
    ]


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,.1f}" if isinstance(value, float) else str(value)
