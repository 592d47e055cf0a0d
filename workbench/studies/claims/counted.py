"""What was counted instead of timed, in files: so that answers can be given again from them alone.

probes/turn_cost.json       a fact of this name
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench.errors import RecordError
from workbench.files import write_json
from workbench.measure.record import portable
from workbench.measure.statistics import Interval, Ratio
from workbench.studies.claims.evidence import Evidence, Fact

SCHEMA_VERSION = 1


def write_fact(path: Path, evidence: Evidence) -> None:
    """Writes a fact whole or not at all; a reason why there is none isn't written."""
    if isinstance(evidence, Fact):
        plain = {name: _plain(value) for name, value in asdict(evidence).items()}
        write_json(path, portable({"schema_version": SCHEMA_VERSION, **plain}))


def read_facts(folder: Path) -> dict[str, Evidence]:
    """All facts in ``folder``, by name; RecordError for one that is torn or of another schema."""
    return {path.stem: read_fact(path) for path in sorted(folder.glob("*.json"))}


def read_fact(path: Path) -> Fact:
    """The fact that ``write_fact`` wrote to ``path``; RecordError as above."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        version = kept.pop("schema_version")
        if version != SCHEMA_VERSION:
            raise RecordError(
                f"{path} has schema version {version!r}, not {SCHEMA_VERSION}", "count it anew"
            )
        return Fact(**{
            **kept,
            "interval": _as(Interval, kept["interval"]),
            "ratio": _as(Ratio, kept["ratio"]),
        })  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError) as problem:
        raise RecordError(f"{path} can't be used: {problem}", "count it anew") from problem


def _plain(value: Any) -> Any:
    """JSON has no infinity, which a ratio's end may be: it stands there in words."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def _as(kind: type[Any], kept: Mapping[str, Any] | None) -> Any:
    if kept is None:
        return None
    return kind(**{n: float(v) if isinstance(v, str) else v for n, v in kept.items()})
