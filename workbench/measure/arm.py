"""An arm of a study: an engine with its switches, hosted in a process of its own."""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from workbench.errors import InputError


class Hosted(Protocol):
    """What lives in an arm's process. Making it loads the engine; that time is noted apart.

    It can be any class that can be imported there, also by an interpreter without this package's
    dependencies.
    """

    def warm_up(self) -> float:
        """Does all that happens only once (compiling, capturing graphs, filling caches).

        Returns the seconds it took. Called once, before the first trial.
        """
        ...

    def trial(self, index: int, seed: int) -> dict[str, float]:
        """One trial: its figures by name, the unit at the name's end (``generation_ms``).

        ``index`` and ``seed`` are the same for all arms of a round: the same text and the same
        random numbers. Only the work itself is timed, with the garbage collector at rest.
        """
        ...

    def about(self) -> dict[str, Any]:
        """What really ran (implementation, weights, device, …), as JSON values."""
        ...


@dataclass(frozen=True)
class Arm:
    """``target`` ("module:callable") makes a ``Hosted`` from ``kwargs``, which are JSON values.

    ``python`` is the interpreter (default: this one); ``environment`` adds variables to the
    inherited ones. Both stand in the record: no secrets there.

    Raises InputError for a name or kwargs that a record can't keep.
    """

    name: str
    target: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    python: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise InputError("an arm without a name", "name it by what is special about it")
        try:
            json.dumps(asdict(self), allow_nan=False)
        except (TypeError, ValueError) as problem:
            raise InputError(
                f"arm {self.name!r} has settings that are not JSON: {problem}",
                "pass numbers, texts, lists and mappings",
            ) from problem


_UNITS = {"ms": "ms", "s": "s", "bytes": "bytes", "hz": "Hz", "mhz": "MHz", "j": "J", "w": "W"}


def unit_of(metric: str) -> str:
    """The unit at a metric's end: "ms" of ``ttfa_ms``; empty for a number without one (RTF)."""
    return _UNITS.get(metric.rpartition("_")[2], "")


def rest_collector() -> None:
    """Puts the garbage collector of an arm's process to rest for good.

    Call it at the end of ``warm_up``, and ``gc.collect()`` before each timed region: what lives
    already is frozen, so that it looks at new objects only and takes no time worth naming.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
