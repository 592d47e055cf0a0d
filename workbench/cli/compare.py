"""``workbench compare``: what became of the arms from one study to another."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "compare",
        help="compare two studies, made at different times or on different machines",
        description="Compares the arms that A and B share: relative to their common baseline, or "
        "by time where both were made\non one machine. Times of different machines are never "
        "compared.",
        epilog="examples:\n  workbench compare outputs/monday outputs/tuesday\n"
        "  workbench compare outputs/a/arms/tf32.record.json outputs/b/arms/tf32.record.json\n",
    )
    command.add_argument("a", metavar="A", type=Path, help="a study's folder, or an arm's record")
    command.add_argument("b", metavar="B", type=Path, help="what to compare it with")
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Compares; returns the changes."""
    from workbench.measure.comparison import compare

    found = compare(options.a, options.b)
    if not options.json:
        print(f"A: {found.machines[0]}\nB: {found.machines[1]}\n{found.metric}, B against A:")
        for change in found.changes:
            how = "relative to the baseline" if change.by == "ratio" else "by time"
            print(f"  {change.arm}: {change.judgement} ({how})")
        for words in found.software:
            print(f"  {words}")
        for where, names in zip("AB", found.only_in, strict=True):
            if names:
                print(f"  only in {where}: {', '.join(names)}")
    changes = [
        {
            "arm": change.arm,
            "by": change.by,
            "verdict": str(change.judgement.verdict),
            "ratio": change.judgement.ratio and asdict(change.judgement.ratio),
            "reason": change.judgement.reason,
        }
        for change in found.changes
    ]
    return {
        "machines": list(found.machines),
        "metric": found.metric,
        "changes": changes,
        "software": list(found.software),
        "only_in": {"a": list(found.only_in[0]), "b": list(found.only_in[1])},
    }, 0
