"""FERN's latency targets, beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from workbench.conversation.figures import TurnFigures
from workbench.measure.statistics import Interval, bootstrap_interval

# ms; of FERN's documents (RTX 5090). ``human`` is how people do it.
COLUMNS = ("human", "FERN now", "quick wins", "medium term", "long term")
TARGETS: Mapping[str, tuple[float | None, ...]] = {
    "total": (250, 800, 500, 300, 150),
    "first audio": (200, 600, 400, 200, 100),
    "turn detection": (200, 700, 500, 400, 300),
    "recognizer": (None, 150, 100, 50, 30),
    "chat": (None, 350, 250, 150, 50),
    "synthesizer": (None, 400, 300, 150, 80),
}
FIELDS: Mapping[str, str] = {
    "total": "total_ms",
    "first audio": "first_audio_ms",
    "turn detection": "turn_ms",
    "recognizer": "recognizer_ms",
    "chat": "chat_ms",
    "synthesizer": "synthesizer_ms",
}


def percentile_interval(samples: Sequence[float], point: float) -> Interval:
    """The percentile with its bootstrap interval; a high one of few samples is near the largest."""
    return bootstrap_interval(samples, partial(_percentile, point))


def times(turns: Sequence[TurnFigures], metric: str) -> list[float]:
    """``metric`` of the turns that have one."""
    found = [getattr(turn, FIELDS[metric]) for turn in turns]
    return [value for value in found if value is not None]


def target_rows(arms: Mapping[str, Sequence[TurnFigures]]) -> list[dict[str, Any]]:
    """One row a metric and arm: p50 and p95 with intervals beside FERN's targets, all in ms.

    ``reaches`` is the most ambitious target that the median is within.
    """
    rows = []
    for metric, wanted in TARGETS.items():
        for arm, turns in arms.items():
            values = times(turns, metric)
            enough = len(values) >= 2
            row: dict[str, Any] = {"metric (ms)": metric, "way": arm}
            for point in (50, 95):
                row[f"p{point}"] = percentile_interval(values, point) if enough else None
            row["reaches"] = (reached(metric, row["p50"].value) or "none") if enough else None
            row |= dict(zip(COLUMNS, wanted, strict=True))
            rows.append(row)
    return rows


def reached(metric: str, value_ms: float) -> str:
    """The most ambitious of FERN's columns that ``value_ms`` is within; empty where none is."""
    met = [
        name
        for name, target in zip(COLUMNS[1:], TARGETS[metric][1:], strict=True)
        if target is not None and value_ms <= target
    ]
    return met[-1] if met else ""


def _percentile(point: float, values: Any, axis: int) -> Any:
    return np.percentile(values, point, axis=axis)
