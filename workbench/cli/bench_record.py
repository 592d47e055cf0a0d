"""What benches have in common that can write a record: the option, and what was asked for."""

from __future__ import annotations

import argparse
from pathlib import Path

from workbench.measure.bench_record import Begun, begin

_NO_SETTINGS = ("command", "bench", "execute", "json", "out")  # how to run, not what


def add_out(command: argparse.ArgumentParser) -> None:
    """Adds ``--out``."""
    command.add_argument(
        "--out", type=Path, metavar="DIR", help="write a record with every raw sample into it"
    )


def begun(name: str, options: argparse.Namespace) -> Begun:
    """The bench ``name`` as it begins, with its options as settings."""
    return begin(name, {
        option: str(value) if isinstance(value, Path) else value
        for option, value in vars(options).items()
        if option not in _NO_SETTINGS
    })  # fmt: skip
