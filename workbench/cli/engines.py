"""``workbench engines``: engines with environments of their own, listed, installed, examined."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from workbench.errors import InputError


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "engines",
        help="list, install or examine the engines that need an environment of their own",
        description="Engines whose packages conflict with the workbench's, or with each other's, "
        "live in an environment of their own and\nspeak in a process of their own, behind the "
        "same interface: workbench.load('piper').\n"
        "list shows them, install NAME makes an environment, doctor imports what each needs.",
        epilog="examples:\n"
        "  workbench engines list\n"
        "  workbench engines install piper\n"
        "  workbench engines install piper --again      # made anew; the old one works until then\n"
        "  workbench engines doctor --json | tail -n 1\n"
        '  workbench speak "good morning" --engine piper:voices/en_GB-alan-medium.onnx\n',
    )
    command.add_argument(
        "action", nargs="?", default="list", choices=("list", "install", "doctor"),
        help="what to do (default: list)",
    )  # fmt: skip
    command.add_argument("name", nargs="?", metavar="NAME", help="one engine (doctor: all of them)")
    command.add_argument(
        "--again", action="store_true", help="install: also where it is installed already"
    )
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Exit code 1 where an engine that is installed, or was named, doesn't work."""
    from workbench.engines.guests import environments, guest

    if options.again and options.action != "install":
        raise InputError(f"--again with {options.action}", "use it with install")
    if options.action == "install":
        if options.name is None:
            raise InputError("install without a NAME", "see `workbench engines list`")
        found = [
            environments.install(
                options.name,
                again=options.again,
                tell=lambda words: print(words, file=sys.stderr, flush=True),
            )
        ]
    else:
        look = environments.doctor if options.action == "doctor" else environments.status
        names = environments.GUESTS if options.name is None else [guest(options.name).name]
        found = [look(name) for name in names]
    if not options.json:
        _show(found)
    wrong = [
        one for one in found
        if not one.ready and (one.state != "missing" or options.name is not None)
    ]  # fmt: skip
    failed = bool(wrong) and options.action == "doctor"
    return {"engines": [_row(one) for one in found]}, int(failed)


def _row(one: Any) -> dict[str, Any]:
    from workbench.engines.guests import guest

    about = guest(one.name)
    return {
        "name": one.name,
        "state": one.state,
        "detail": one.detail,
        "remedy": one.remedy,
        "summary": about.summary,
        "licence": about.licence,
        "python": None if one.python is None else str(one.python),
        "versions": dict(one.versions),
    }


def _show(found: list[Any]) -> None:
    from workbench.engines.guests import guest

    width = max(len(one.name) for one in found)
    for one in found:
        about = guest(one.name)
        print(f"{'+' if one.ready else '-'} {one.name:{width}}  {about.summary}")
        indent = " " * (width + 4)
        print(f"{indent}{one.detail}; licence: {about.licence}")
        if one.remedy:
            print(f"{indent}→ {one.remedy}")
