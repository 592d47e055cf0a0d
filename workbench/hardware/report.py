"""Checks, ceilings and environment in one document, for the command line and for notebooks."""

from __future__ import annotations

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
    """
    checks = validate(output=output, more=more, progress=progress)
    if progress:
        progress("ceilings")
    environment = fingerprint()
    return {
        "machine": label(environment),
        "verdict": verdict(checks),
        "checks": [check.to_dict() for check in checks],
        "ceilings": measure_ceilings(budget_s).to_dict(),
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
    for title, wanted in (("What to do", ("failed", "warning")), ("Not here", ("absent",))):
        advised = [check for check in checks if check.status in wanted and check.remedy]
        if advised:
            lines += ["", title]
            lines += [f"  {check.name:<{width}}  {check.remedy}" for check in advised]
    ceilings = report["ceilings"]
    lines += ["", "Ceilings (median, 10th to 90th percentile)"]
    lines += ["  " + line for line in _aligned(ceiling_rows(ceilings))]
    lines += [f"  {note}" for note in ceilings["notes"]]
    return "\n".join([*lines, "", report["verdict"]])


def check_rows(checks: Sequence[Check]) -> list[dict[str, str]]:
    """The table of checks for a notebook."""
    return [
        {
            "check": check.name,
            "": f"{SYMBOLS[check.status]} {WORDS[check.status]}",
            "found": check.found,
            "what to do": check.remedy,
            "why it matters": check.why,
        }
        for check in checks
    ]


def ceiling_rows(ceilings: dict[str, Any]) -> list[dict[str, str]]:
    """The table of ceilings, from ``Ceilings.to_dict()``."""
    return [
        {
            "ceiling": one["name"],
            "device": one["device"] + (f", {threads(one['threads'])}" if one["threads"] else ""),
            "type": one["dtype"],
            "rate": f"{one['median']:,.1f} {one['unit']}",
            "p10 to p90": f"{one['p10']:,.1f} to {one['p90']:,.1f}",
            "n": str(len(one["samples"])),
            "size": one["size"],
        }
        for one in ceilings["results"]
    ]


def threads(count: int) -> str:
    """ "1 thread", "2 threads"."""
    return f"{count} thread{'' if count == 1 else 's'}"


def _aligned(rows: list[dict[str, str]]) -> list[str]:
    table = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
