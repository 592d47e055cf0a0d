"""Is everything working that should: a table of checks, each run on its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from workbench.hardware import checks_gpu, checks_machine, checks_software
from workbench.hardware.check import Check, Inquiry

__all__ = ["Check", "Inquiry", "validate", "verdict"]


def validate(
    *,
    output: Path | None = None,
    compile_limit_s: float = 150.0,
    more: Sequence[Inquiry] = (),
    progress: Callable[[str], None] | None = None,
) -> list[Check]:
    """Runs every check and returns its row; nothing is raised, nothing hangs.

    ``output``: the folder whose disk is looked at. ``compile_limit_s``: after which torch.compile
    is given up. ``more``: checks from higher rooms, added at the end. ``progress`` is told each
    check's name before it runs.
    """
    rows = []
    inquiries = [
        *checks_software.basics(),
        *checks_gpu.inquiries(),
        *checks_machine.inquiries(output),
        *checks_software.inquiries(compile_limit_s),
        *more,
    ]
    for inquiry in inquiries:
        if progress:
            progress(inquiry.name)
        rows.append(inquiry.run())
    return rows


def verdict(checks: Sequence[Check]) -> str:
    """The table in one or two sentences."""
    named = {status: [c.name for c in checks if c.status == status]
             for status in ("failed", "warning", "absent")}  # fmt: skip
    if named["failed"]:
        first = f"{len(named['failed'])} of {len(checks)} checks failed: "
        first += ", ".join(named["failed"]) + "."
    elif named["warning"]:
        first = "Everything needed works; worth a look: " + ", ".join(named["warning"]) + "."
    else:
        first = "Everything that should work on this machine works."
    absent = named["absent"]
    return first + (f" Not on this machine: {', '.join(absent)}." if absent else "")
