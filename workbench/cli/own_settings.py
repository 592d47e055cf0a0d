"""``--set KEY=VALUE``: settings of an engine's own, as ``workbench.load`` takes them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from workbench.engines.load import own_settings
from workbench.errors import InputError


def add_set(command: argparse.ArgumentParser) -> None:
    """Adds the option, whose value is for ``parsed``: None, or what was given."""
    command.add_argument(
        "--set",
        action="append",
        metavar="KEY=VALUE",
        help="a setting of the engine's own, such as nfe_step=7 (docs/engines.md lists them); "
        "VALUE is JSON, a bare word a text; repeatable",
    )


def parsed(given: Sequence[str] | None) -> dict[str, Any]:
    """``["nfe_step=7", "language=es"]`` as ``{"nfe_step": 7, "language": "es"}``.

    Raises InputError for what is no KEY=VALUE, for a key twice, and for one that has an option of
    its own. Whether an engine knows the settings, ``workbench.load`` says.
    """
    found: dict[str, Any] = {}
    for one in given or ():
        name, equals, text = one.partition("=")
        name = name.strip()
        if not equals or not name:
            raise InputError(f"--set {one}", "write KEY=VALUE, such as --set nfe_step=7")
        if name in found:
            raise InputError(f"--set {name} is given twice", "give it once")
        found[name] = _value(text)
    return own_settings(found)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
