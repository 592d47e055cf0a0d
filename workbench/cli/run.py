"""``workbench run``: a batch of notebooks, rendered into a gallery."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "run",
        help="run notebooks and render a gallery that works offline",
        description="Runs notebooks with papermill and renders them, with one record each, into "
        "a folder that works\noffline and can be mailed. Without names it runs the tour.",
        epilog="examples:\n"
        "  workbench run                              # the tour, on csm-nano\n"
        "  workbench run 10 30 -p trials 20           # by number, with a parameter\n"
        "  workbench run -p engine csm-1b             # the same on CSM-1B\n"
        "  workbench run 20 --sweep optimization bf16,torch_compile   # one page each\n"
        "  workbench run --all --out outputs/night --resume\n",
    )
    command.add_argument(
        "notebooks", nargs="*", metavar="NOTEBOOK", help="name, number or path (default: the tour)"
    )
    command.add_argument("--all", action="store_true", help="every notebook, not only the tour")
    command.add_argument(
        "-p",
        dest="parameters",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="a notebook parameter; refused before anything runs if no notebook knows it",
    )
    command.add_argument(
        "--sweep",
        nargs=2,
        metavar=("NAME", "A,B"),
        help="run once for each value of a parameter, with a page of its own",
    )
    command.add_argument("--smoke", action="store_true", help="tiny parameters, to see it work")
    command.add_argument(
        "--resume", action="store_true", help="run only what has no valid record in --out yet"
    )
    command.add_argument(
        "--out", type=Path, help="folder for the results (default: outputs/<time>)"
    )
    command.add_argument("--timeout-s", type=float, help="time limit of each notebook")
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Runs the batch; exit code 1 if a notebook failed."""
    from workbench.errors import InputError
    from workbench.runner.batch import run

    names = [name for name, _ in options.parameters]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"the parameter {name!r} is given twice", "give it once")
    sweep = None
    if options.sweep:
        name, values = options.sweep
        sweep = (name, [value.strip() for value in values.split(",") if value.strip()])
    result = run(
        options.notebooks or None,
        parameters=dict(options.parameters),
        out=options.out,
        smoke=options.smoke,
        resume=options.resume,
        all=options.all,
        timeout_s=options.timeout_s,
        sweep=sweep,
    )
    summary = {
        "index": str(result.index_path),
        "notebooks": [
            {
                "name": one.name,
                "status": one.status,
                "verdict": one.verdict,
                "error": one.error,
                "duration_s": one.duration_s,
                "record": str(one.record_path),
                "skipped": one.skipped,
            }
            for one in result.notebooks
        ],
    }
    if not options.json:
        print(result.index_path)
    return summary, result.exit_code
