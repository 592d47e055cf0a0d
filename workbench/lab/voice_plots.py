"""Plots of voices: how alike each is to each other, and what a longer prompt does."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from workbench.errors import InputError
from workbench.lab.display import number
from workbench.lab.style import INK, PALETTE, VERMILION, figure, styled
from workbench.measure.statistics import Interval

_MARKERS = "os^Dv"  # told apart by shape as well as by colour


@styled
def similarity_grid(
    rows: Mapping[str, Mapping[str, float]], title: str, caption: str, of: str, to: str
) -> Figure:
    """Similarity of each row to each column, the highest of each row framed.

    ``of`` and ``to`` say what rows and columns are.
    """
    if not rows:
        raise InputError("no similarities to draw", "pass at least one row")
    columns = list(next(iter(rows.values())))
    values = np.array([[row[name] for name in columns] for row in rows.values()])
    drawn, (axes,) = figure(title, caption, height_in=1.6 + 0.36 * len(rows))
    image = axes.imshow(values, aspect="auto", cmap="cividis")
    middle = (values.min() + values.max()) / 2
    for place, value in np.ndenumerate(values):
        axes.text(place[1], place[0], f"{value:.2f}".replace("-", "−"), ha="center", va="center",
                  fontsize=8.5, color=INK if value > middle else "white")  # fmt: skip
    for row, column in enumerate(values.argmax(axis=1)):
        edge = (column - 0.5, row - 0.5)
        axes.add_patch(Rectangle(edge, 1, 1, fill=False, edgecolor=VERMILION, linewidth=2.2))
    axes.set_xticks(range(len(columns)), columns, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_xlabel(to)
    axes.set_ylabel(of)
    axes.grid(visible=False)
    drawn.colorbar(image, ax=axes, label="similarity (cosine)")
    return drawn


@styled
def prompt_curves(
    curves: Mapping[str, Mapping[float, Interval]],
    title: str,
    caption: str,
    ylabel: str,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """One line a curve over the seconds of prompt, with the interval of each point.

    ``limits`` are the y axis': where a scale has an end of its own, noise shouldn't fill it.
    """
    if not any(curves.values()):
        raise InputError("no curves to draw", "pass at least one value")
    drawn, (axes,) = figure(title, caption, height_in=2.9)
    for index, (name, curve) in enumerate(curves.items()):
        color, marker = PALETTE[index % len(PALETTE)], _MARKERS[index % len(_MARKERS)]
        seconds, points = list(curve), list(curve.values())
        axes.fill_between(seconds, [p.low for p in points], [p.high for p in points],
                          color=color, alpha=0.25, linewidth=0)  # fmt: skip
        axes.plot(seconds, [p.value for p in points], marker=marker, color=color, label=name)
        axes.annotate(number(points[-1].value), (seconds[-1], points[-1].value), xytext=(7, 0),
                      textcoords="offset points", va="center", fontsize=9.5)  # fmt: skip
    axes.margins(x=0.08)
    axes.set_xlabel("prompt (s)")
    axes.set_ylabel(ylabel)
    axes.grid(visible=True, axis="y")
    if limits is not None:
        axes.set_ylim(limits)
    elif min(point.low for curve in curves.values() for point in curve.values()) >= 0:
        axes.set_ylim(bottom=0)
    if len(curves) > 1:
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=4, fontsize=9.5, borderaxespad=0.2
        )
    return drawn
