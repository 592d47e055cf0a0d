"""Claimed and measured figures as people read them."""

from __future__ import annotations

from workbench.measure.statistics import Interval
from workbench.studies.claims.ledger import Claim

_TIMES = {"speedup": "times as fast", "memory_ratio": "times less memory"}
_SHARES = {
    "saving": "less time",
    "ttfa_saving": "less time to first audio",
    "first_call_saving": "less time of the first call",
    "variance_saving": "less spread",
    "false_turn_saving": "fewer false turn ends",
    "bandwidth_saving": "less memory traffic",
    "wer_increase": "more word errors",
    "gpu_utilization": "of the GPU used",
}
_UNITS = {
    "ms_saved": "ms less",
    "ttfa_ms": "ms to first audio",
    "ms": "ms",
    "seconds": "s",
    "chars_per_s": "characters/s",
    "allocations": "allocations a frame",
    "fails": "(1: it fails)",
}


def claimed_words(claim: Claim) -> str:
    """The claimed range: "20–30 % less time"; a claim without a figure says "faster"."""
    low, high = claim.expected
    if (low, high) == (0.0, 1.0):
        return {"first_call_saving": "a faster first call"}.get(claim.metric, "faster")
    return _words(claim.metric, low, high)


def figure_words(metric: str, figure: Interval) -> str:
    """A measured figure with its interval: "12 % (10–14 %) less time"."""
    value = _number(metric, figure.value)
    if figure.low == figure.high:  # counted
        return _with_unit(metric, value)
    between = f"{_number(metric, figure.low)} to {_number(metric, figure.high)}"
    return f"{_with_unit(metric, value)} ({between}, n = {figure.n})"


def _words(metric: str, low: float, high: float) -> str:
    first, last = _number(metric, low), _number(metric, high)
    return _with_unit(metric, first if low == high else f"{first}–{last}")


def _number(metric: str, value: float) -> str:
    if metric in _SHARES:
        return f"{100 * value:.3g}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _with_unit(metric: str, number: str) -> str:
    if metric in _TIMES:
        return f"{number}× {_TIMES[metric].removeprefix('times ')}"
    if metric in _SHARES:
        return f"{number} % {_SHARES[metric]}"
    return f"{number} {_UNITS[metric]}"


def short_words(metric: str, figure: Interval) -> str:
    """As ``figure_words``, for a table's cell: "1.35× (1.30–1.41)"."""
    sign = "×" if metric in _TIMES else " %" if metric in _SHARES else ""
    value = f"{_number(metric, figure.value)}{sign}"
    if figure.low == figure.high:
        return value
    return f"{value} ({_number(metric, figure.low)} to {_number(metric, figure.high)})"
