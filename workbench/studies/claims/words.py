"""Claimed and measured figures as people read them."""

from __future__ import annotations

from workbench.measure.statistics import Interval
from workbench.studies.claims.ledger import Claim

_TIMES = {"speedup": "as fast", "memory_ratio": "less memory"}
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
}


def claimed_words(claim: Claim) -> str:
    """The claimed range: "20–30 % less time"; a claim without a figure says "faster"."""
    low, high = claim.expected
    if claim.metric == "fails":
        return "it fails" if high else "it works"
    if claim.metric in _SHARES and (low, high) == (0.0, 1.0):
        return "a faster first call" if claim.metric == "first_call_saving" else "faster"
    first, last = _number(claim.metric, low), _number(claim.metric, high)
    return _with_unit(claim.metric, first if low == high else f"{first}–{last}")


def figure_words(metric: str, figure: Interval) -> str:
    """A measured figure with its interval: "12 % less time (10 to 14, n = 40)"."""
    if metric == "fails":
        return "it fails" if figure.value else "it works"
    more = metric in _SHARES and figure.high < 0  # a saving below zero is a loss
    ends = (-figure.high, -figure.low) if more else (figure.low, figure.high)
    told = _with_unit(metric, _number(metric, -figure.value if more else figure.value))
    if more:
        told = told.replace(" less ", " more ").replace(" fewer ", " more ")
    if figure.low == figure.high:  # counted
        return told
    low, high = (_number(metric, end) for end in ends)
    return f"{told} ({low} to {high}, n = {figure.n})"


def short_words(metric: str, figure: Interval) -> str:
    """As ``figure_words``, for a table's cell: "1.35× (1.30 to 1.41)"."""
    if metric == "fails":
        return figure_words(metric, figure)
    sign = "×" if metric in _TIMES else " %" if metric in _SHARES else ""
    value = f"{_number(metric, figure.value)}{sign}"
    if figure.low == figure.high:
        return value
    return f"{value} ({_number(metric, figure.low)} to {_number(metric, figure.high)})"


def _number(metric: str, value: float) -> str:
    if metric in _SHARES:
        value *= 100
    return (f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}").replace("-", "−")


def _with_unit(metric: str, number: str) -> str:
    if metric in _TIMES:
        return f"{number}× {_TIMES[metric]}"
    if metric in _SHARES:
        return f"{number} % {_SHARES[metric]}"
    return f"{number} {_UNITS[metric]}"
