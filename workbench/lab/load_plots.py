"""Plots of loads: how something grows with the number of streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from workbench.errors import InputError
from workbench.lab.display import number
from workbench.lab.style import GREY, INK, PALETTE, VERMILION, figure, styled

_MARKERS = "os^Dv"  # told apart by shape as well as by colour
_DASHED = ((GREY, ":"), (INK, "--"))


@styled
def growth(
    curves: Mapping[str, Mapping[int, float]],
    title: str,
    caption: str,
    ylabel: str,
    deadline: float | None = None,
    dashed: tuple[str, ...] = (),
) -> Figure:
    """One line a curve over the number of streams, on logarithmic axes.

    ``deadline`` draws a line that the others should stay below; curves named in ``dashed`` are
    no measurements and have no markers.
    """
    values = [value for curve in curves.values() for value in curve.values()]
    if not values:
        raise InputError("no curves to draw", "pass at least one value")
    drawn, (axes,) = figure(title, caption, height_in=3.4)
    for index, (name, curve) in enumerate(curves.items()):
        x, y = list(curve), list(curve.values())
        if name in dashed:
            color, line = _DASHED[dashed.index(name) % len(_DASHED)]
            axes.plot(x, y, line, color=color, linewidth=1.8, label=name)
            continue
        marker = _MARKERS[index % len(_MARKERS)]
        axes.plot(x, y, marker=marker, color=PALETTE[index % len(PALETTE)], label=name)
        axes.annotate(number(y[-1]), (x[-1], y[-1]), xytext=(7, 0), fontsize=9.5, va="center",
                      textcoords="offset points")  # fmt: skip
    if deadline is not None:
        axes.axhline(deadline, color=VERMILION, linewidth=1.5, linestyle="--")
        axes.annotate(f"deadline {number(deadline)} ms", (0.01, deadline), xytext=(0, 3),
                      xycoords=("axes fraction", "data"), textcoords="offset points",
                      color=VERMILION, fontsize=9.5)  # fmt: skip
    streams = sorted({count for curve in curves.values() for count in curve})
    axes.set_xscale("log")
    axes.set_xlim(streams[0] / 1.15, streams[-1] * 1.25)
    axes.set_xticks(streams, [f"{count:,}" for count in streams])
    axes.set_xlabel("streams at a time (number)")
    plain_log(axes, [*values, *([] if deadline is None else [deadline])])
    axes.grid(visible=True, axis="y")
    axes.set_ylabel(ylabel)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, fontsize=9.5, borderaxespad=0.2)
    return drawn


def plain_log(axes: Any, values: list[float]) -> None:
    """A logarithmic y axis with plain numbers."""
    low, high = min(values) / 1.3, max(values) * 1.3
    steps = [digit * 10.0**power for power in range(-3, 7) for digit in (1, 2, 5)]
    inside = [step for step in steps if low <= step <= high]
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.set_yticks(inside, [f"{step:,g}" for step in inside])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_locator(NullLocator())
