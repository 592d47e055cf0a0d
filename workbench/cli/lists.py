"""Lists as options have them, and rows as JSON has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from workbench.errors import InputError
from workbench.measure.statistics import Interval


def names(text: str, separator: str = ",") -> tuple[str, ...]:
    """``"a, b"`` as ``("a", "b")``."""
    return tuple(name.strip() for name in text.split(separator) if name.strip())


def numbers(option: str, text: str) -> list[int]:
    """``"1,125"`` as ``[1, 125]``; InputError, naming the ``option``, for anything else."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text!r}", "give whole numbers, such as 1,125") from None


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A table's row as JSON values: intervals as objects."""
    return {
        name: asdict(value) if isinstance(value, Interval) else value for name, value in row.items()
    }
