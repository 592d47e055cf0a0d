"""``workbench bench reel``: VoiceReel's table, one script spoken in each configuration."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from workbench.cli.bench_record import add_out, begun
from workbench.cli.lists import names, plain


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "reel",
        help="a script of several speakers: plain, optimized, in batches, by several processes",
        description="Speaks a script in each of VoiceReel's configurations, in turn and in random "
        "order, each in processes\nof its own. Time is from the first request until the last "
        "segment's sound is there; loading and\nwarm-up are not in it. The target is 30 s of audio "
        "in 8 s.",
        epilog="examples:\n"
        "  workbench bench reel\n"
        "  workbench bench reel --script script.yaml --trials 10 --out outputs/reel-bench\n"
        '  workbench bench reel --only "optimized; optimized, batched" --json | tail -n 1\n',
    )
    add = command.add_argument
    add("--script", type=Path, help="(default: the shipped one, 15 segments, 2 speakers)")
    add("--engine", help="speaks instead of the script's own engine")
    add("--only", help="configurations beside plain, with semicolons (default: all)")
    add("--trials", type=int, default=3, help="of each (default: %(default)s)")
    add("--device", help="cpu or cuda (default: cuda where there is one)")
    add_out(command)
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Speaks and tells."""
    from workbench.reel import read_script, sample_script
    from workbench.reel.bench import bench_reel

    script = read_script(options.script or sample_script()).with_engine(options.engine)
    record = begun("reel", options)
    table = bench_reel(
        script,
        options.trials,
        device=options.device,
        only=None if options.only is None else names(options.only, ";"),
        progress=lambda words: print(f"{words} …", file=sys.stderr, flush=True),
    )
    told: dict[str, Any] = {
        "script": script.title,
        "segments": len(script.segments),
        "configurations": [plain(row) for row in table.rows()],
        "about": {name: dict(about) for name, about in table.about.items()},
        "best": table.best,
        "disturbed": list(table.busy),
    }
    if options.out is not None:
        told["record"] = str(record.write(options.out, table.verdict, table.measures(), **told))
    if not options.json:
        for row in table.rows():
            gain = row["times as fast"]
            print(
                f"  {row['configuration']:<36} RTF {row['RTF']}{f', {gain} plain' if gain else ''}"
            )
        print(table.verdict)
    return {**told, "verdict": table.verdict}, 0
