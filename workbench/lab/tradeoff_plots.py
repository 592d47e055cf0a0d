"""A plot of two figures that pull against each other: what is quick, and what is right."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from workbench.errors import InputError
from workbench.lab.plots import interval_dots
from workbench.lab.style import PALETTE, figure, styled
from workbench.measure.statistics import Interval
from workbench.studies.asr.study import RecognizerComparison

_MARKERS = "os^Dv<>P"  # told apart by shape as well as by colour


def latency_and_words(result: RecognizerComparison) -> Figure:
    """Latency against word error rate of each way; with random weights the latency alone."""
    latency = "latency of a clip (ms)"
    if points := result.points():
        return tradeoff(points, result.finding, result.caption, latency, "word error rate")
    times = {way: result.latency_ms(way) for way in result.transcripts}
    return interval_dots(times, result.finding, result.caption, latency)


@styled
def tradeoff(
    points: Mapping[str, tuple[Interval, Interval]],
    title: str,
    caption: str,
    xlabel: str,
    ylabel: str,
) -> Figure:
    """Each arm as a point with the intervals of both its figures; lower left is better.

    The x axis is logarithmic.
    """
    if not points:
        raise InputError("no points to draw", "pass at least one arm's two figures")
    rows = -(-len(points) // 3)
    drawn, (axes,) = figure(title, caption, height_in=3.2 + 0.22 * rows)
    for index, (name, (x, y)) in enumerate(points.items()):
        color, marker = PALETTE[index % len(PALETTE)], _MARKERS[index % len(_MARKERS)]
        axes.errorbar(
            x.value, y.value, color=color, marker=marker, markersize=8, linestyle="none",
            xerr=[[x.value - x.low], [x.high - x.value]],
            yerr=[[y.value - y.low], [y.high - y.value]], elinewidth=1.5, alpha=0.9, label=name,
        )  # fmt: skip
    low = min(x.low for x, _ in points.values())
    high = max(x.high for x, _ in points.values())
    steps = [digit * 10.0**power for power in range(-3, 7) for digit in (1, 2, 5)]
    axes.set_xscale("log")
    axes.set_xlim(low / 1.4, high * 1.4)
    inside = [step for step in steps if low / 1.4 <= step <= high * 1.4]
    axes.set_xticks(inside, [f"{step:,g}" for step in inside])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, axis="both")
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=9, borderaxespad=0.2)
    return drawn
