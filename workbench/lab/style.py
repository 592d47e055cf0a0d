"""One look for all plots: colour-blind safe, units on the axes, readable on a phone.

Plots carry their own light background, so that they look right on dark pages too.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from matplotlib import rc_context, rcParams
from matplotlib.figure import Figure

# Okabe & Ito's palette (2008), told apart with every kind of colour vision; yellow left out,
# because it is too pale for lines on a light background.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, INK = "#CC79A7", "#56B4E9", "#222222"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION)
PAPER, GREY, FAINT = "#FCFCFA", "#5F5F5F", "#DDDDD8"

WIDTH_IN = 7.6
DPI = 200  # shown at half this size, so that it stays sharp on dense screens
TITLE_CHARS, CAPTION_CHARS = 66, 118  # a line of each at WIDTH_IN

STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.facecolor": PAPER,
    "axes.grid": True,
    "axes.grid.axis": "x",
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "figure.facecolor": PAPER,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: the same on every machine
    "font.size": 11,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "image.cmap": "magma",
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 2,
    "savefig.facecolor": PAPER,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}


class style:  # reads as a verb: `style()` for good, `with style():` for a while
    """Applies the look to all plots that follow; as a context, until the block ends."""

    def __init__(self) -> None:
        self._before: Any = {name: rcParams[name] for name in STYLE}
        rcParams.update(STYLE)

    def __enter__(self) -> style:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        rcParams.update(self._before)


styled = rc_context(STYLE)  # decorates a function that draws


def figure(
    title: str,
    caption: str,
    rows: int = 1,
    columns: int = 1,
    height_in: float = 3.2,
    width_in: float = WIDTH_IN,
    **grid: Any,
) -> tuple[Figure, Sequence[Any]]:
    """A figure in the style with its axes in a flat list.

    ``title`` states the finding, ``caption`` names machine and n. The figure is not pyplot's, so
    that nothing shows it a second time.
    """
    title_lines = textwrap.wrap(title, TITLE_CHARS) or [""]
    caption_lines = textwrap.wrap(caption, CAPTION_CHARS)
    height_in += 0.24 * len(title_lines) + 0.17 * len(caption_lines)
    drawn = Figure(figsize=(width_in, height_in))
    axes = drawn.subplots(rows, columns, squeeze=False, **grid)
    drawn.suptitle("\n".join(title_lines), x=0.012, ha="left", fontsize=13, fontweight="bold")
    if caption_lines:
        drawn.supxlabel("\n".join(caption_lines), x=0.012, ha="left", fontsize=8.5, color=GREY)
    return drawn, list(axes.flat)
