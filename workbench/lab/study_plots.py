"""Plots of studies: paired samples of one arm, all arms with their verdicts, a ladder's rungs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from workbench.errors import InputError
from workbench.lab.display import number
from workbench.lab.style import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PAPER,
    VERMILION,
    figure,
    styled,
)
from workbench.measure.statistics import Interval, Ratio
from workbench.measure.verdict import Verdict

# Told apart by shape as well as by colour.
_LOOKS: dict[Verdict, tuple[str, str]] = {
    Verdict.FASTER: (GREEN, ">"),
    Verdict.SLOWER: (VERMILION, "<"),
    Verdict.SAME: (BLUE, "o"),
    Verdict.AMBIGUOUS: (ORANGE, "D"),
    Verdict.DISTURBED: (GREY, "x"),
    Verdict.FAILED: (GREY, "x"),
}
_GAIN = "times as fast (×)"


@styled
def paired_ratios(
    ratios: Sequence[float],
    estimate: Ratio,
    title: str,
    caption: str,
    threshold: float = 0.01,
    starts: Sequence[int] = (),
) -> Figure:
    """Every round's ratio in the order taken, with the estimate's interval.

    The grey band is what counts as no difference; ``starts`` are the rounds at which all arms
    went on in new processes.
    """
    if not ratios:
        raise InputError("no pairs to draw", "pass the ratio of at least one round")
    drawn, (axes,) = figure(title, caption, height_in=3.2)
    rounds = np.arange(1, len(ratios) + 1)
    axes.axhspan(
        1 / (1 + threshold), 1 + threshold, color=FAINT, label="no difference that matters"
    )
    axes.axhspan(estimate.low, estimate.high, color=BLUE, alpha=0.22, label=f"interval {estimate}")
    axes.axhline(estimate.value, color=BLUE)
    axes.plot(rounds, ratios, "o", color=INK, markersize=4, alpha=0.65, label="one round")
    for index, start in enumerate(one for one in starts if one > 0):
        axes.axvline(start + 0.5, color=GREY, linewidth=0.9, linestyle=":",
                     label="new processes" if index == 0 else None)  # fmt: skip
    axes.axhline(1, color=INK, linewidth=1, linestyle="--")
    axes.grid(visible=False, axis="x")
    axes.grid(visible=True, axis="y")
    axes.set_yscale("log")
    _ratio_ticks(axes.yaxis, axes.set_ylim, [*ratios, estimate.low, estimate.high, 1.0])
    axes.set_xlim(0, len(ratios) + 1)
    axes.set_xlabel("round")
    axes.set_ylabel(_GAIN)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=9, borderaxespad=0.2)
    return drawn


@styled
def forest(
    estimates: Mapping[str, tuple[Ratio, Verdict]],
    title: str,
    caption: str,
    threshold: float = 0.01,
) -> Figure:
    """How many times as fast each arm is, with its interval and verdict; a line at no change."""
    if not estimates:
        raise InputError("no arms to draw", "pass at least one that was measured")
    drawn, (axes,) = figure(title, caption, height_in=1.1 + 0.4 * len(estimates))
    axes.axvspan(1 / (1 + threshold), 1 + threshold, color=FAINT)
    axes.axvline(1, color=INK, linewidth=1, linestyle="--")
    seen: set[Verdict] = set()
    for row, (ratio, verdict) in enumerate(estimates.values()):
        color, marker = _LOOKS[verdict]
        axes.hlines(row, ratio.low, ratio.high, color=color, linewidth=4, alpha=0.45)
        axes.plot(ratio.value, row, marker, color=color, markersize=8, linestyle="none",
                  label=None if verdict in seen else str(verdict))  # fmt: skip
        axes.annotate(f"{number(ratio.value)}×", (ratio.value, row), xytext=(0, 6), ha="center",
                      textcoords="offset points", fontsize=9.5)  # fmt: skip
        seen.add(verdict)
    axes.set_yticks(range(len(estimates)), [f"{n} (n = {r.n})" for n, (r, _) in estimates.items()])
    axes.set_ylim(len(estimates) - 0.4, -0.8)
    axes.set_xscale("log")
    ends = [end for ratio, _ in estimates.values() for end in (ratio.low, ratio.high)]
    _ratio_ticks(axes.xaxis, axes.set_xlim, [*ends, 1.0])
    axes.set_xlabel(_GAIN)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5, fontsize=9.5, borderaxespad=0.2)
    return drawn


@styled
def rungs(
    times_ms: Mapping[str, Interval],
    gains: Mapping[str, Ratio],
    title: str,
    caption: str,
    limit_ms: float | None = None,
) -> Figure:
    """A ladder from top to bottom: the time of a frame after each rung, and what the rung gained.

    ``limit_ms`` is the roofline; beside each bar stands how much of it is reached.
    """
    if not times_ms:
        raise InputError("a ladder without rungs", "pass the time of at least one")
    drawn, (axes,) = figure(title, caption, height_in=1.2 + 0.46 * len(times_ms))
    longest = max(one.high for one in times_ms.values())
    for row, (name, time) in enumerate(times_ms.items()):
        gain = gains.get(name)
        color = GREY if gain is None else BLUE
        axes.barh(row, time.value, 0.62, color=color)
        axes.hlines(row, time.low, time.high, color=INK, linewidth=2)
        share = f", {limit_ms / time.value:.0%} of the roofline" if limit_ms else ""
        told = f"{number(time.value)} ms{share}"
        if gain is not None:
            told += f"\nthis rung: {gain.value:.2f}× ({gain.low:.2f}–{gain.high:.2f})"
        axes.text(time.high + 0.015 * longest, row, told, va="center", fontsize=9, linespacing=1.15)
    if limit_ms is not None:
        axes.axvline(limit_ms, color=VERMILION, linewidth=2)
        axes.annotate(f"roofline {number(limit_ms)} ms", (limit_ms, -0.62), xytext=(4, 0),
                      textcoords="offset points", color=VERMILION, fontsize=9, va="center",
                      bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1})  # fmt: skip
    axes.set_yticks(range(len(times_ms)), list(times_ms))
    axes.set_ylim(len(times_ms) - 0.4, -0.9)
    axes.set_xlim(0, 1.52 * longest)
    axes.set_xlabel("time for one frame of 80 ms (ms)")
    axes.tick_params(axis="y", length=0)
    return drawn


def _ratio_ticks(axis: Any, set_limits: Any, values: Sequence[float]) -> None:
    """Plain numbers on a logarithmic axis, close enough together to be read."""
    low, high = min(values) / 1.04, max(values) * 1.04
    set_limits(low, high)
    if high / low > 4:
        steps = [digit * 10.0**power for power in range(-2, 4) for digit in (1, 1.5, 2, 3, 5, 7)]
    else:
        step = 0.25 if high / low > 1.8 else 0.1 if high / low > 1.2 else 0.02
        steps = list(np.arange(step, 6, step))
    inside = [round(step, 3) for step in steps if low <= step <= high]
    axis.set_ticks(inside, labels=[f"{step:g}" for step in inside])
    axis.set_ticks([], minor=True)
