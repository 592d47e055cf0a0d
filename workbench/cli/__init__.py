"""The command line: one module a command."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from workbench._version import __version__
from workbench.cli import (
    ablate,
    bench,
    calibrate,
    claims,
    clone,
    compare,
    converse,
    engines,
    hardware,
    optimizations,
    profile,
    reel,
    run,
    speak,
    train,
    transcribe,
    turns,
)
from workbench.errors import WorkbenchError

COMMANDS = (
    hardware,
    speak,
    clone,
    reel,
    transcribe,
    turns,
    converse,
    run,
    engines,
    optimizations,
    ablate,
    compare,
    calibrate,
    claims,
    profile,
    bench,
    train,
)
_INTERRUPTED = 130  # what shells report for a command ended by Ctrl-C


def parser() -> argparse.ArgumentParser:
    """The whole command line's parser."""
    root = argparse.ArgumentParser(
        prog="workbench",
        description="Makes voice AI fast, and proves it: on your machine, by numbers and sound.",
        epilog="Start with `workbench hardware`, then `workbench run`. "
        "`workbench COMMAND --help` teaches each command.",
    )
    root.add_argument("--version", action="version", version=f"workbench {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        command = module.add_parser(commands)
        command.formatter_class = argparse.RawDescriptionHelpFormatter
        command.add_argument(
            "--json", action="store_true", help="print one JSON object as the last line of stdout"
        )
        command.set_defaults(execute=module.execute)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code.

    0 is success, 1 a failed notebook or check, 2 unusable input, 3 a model's files, 4 an output
    that can't be written, 5 a record, 6 a service, 7 memory, 130 Ctrl-C.
    """
    options = parser().parse_args(arguments)
    try:
        summary, code = options.execute(options)
    except WorkbenchError as problem:
        print(f"error: {problem}", file=sys.stderr)
        summary, code = {"error": problem.what, "remedy": problem.remedy}, problem.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        summary, code = {"error": "interrupted", "remedy": ""}, _INTERRUPTED
    if options.json:
        _print_json(summary)
    return code


def _print_json(summary: dict[str, Any]) -> None:
    sys.stdout.flush()
    print(json.dumps(summary, ensure_ascii=False, allow_nan=False), flush=True)
