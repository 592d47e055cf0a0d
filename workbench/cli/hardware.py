"""``workbench hardware``: what this machine is, what works on it, and its ceilings."""

from __future__ import annotations

import argparse
from typing import Any

from workbench.errors import InputError


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "hardware",
        help="check this machine and measure its ceilings",
        description="Checks what should work here (each: ok, warning, failed, or not on this "
        "machine, with the remedy)\nand measures the ceilings that later figures stand beside: "
        "copy bandwidth and matmul rate.",
        epilog="examples:\n  workbench hardware\n  workbench hardware --json | tail -n 1 | "
        "python -m json.tool\n",
    )
    command.add_argument(
        "--budget-s",
        type=float,
        default=6.0,
        help="seconds for measuring the ceilings (default: %(default)s)",
    )
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Runs the checks; exit code 1 if one failed."""
    from workbench.hardware.report import format_report, hardware_report, say

    if options.budget_s <= 0:
        raise InputError(f"a budget of {options.budget_s} s", "allow some seconds, such as 6")
    report = hardware_report(options.budget_s, progress=say)
    if not options.json:
        print(format_report(report))
    failed = any(check["status"] == "failed" for check in report["checks"])
    return report, 1 if failed else 0
