"""Plots of residual vector quantization: clouds that shrink, bits against distance, times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.errors import InputError
from workbench.lab.display import number
from workbench.lab.load_plots import plain_log
from workbench.lab.style import BLUE, GREY, INK, PALETTE, VERMILION, figure, styled

_COLUMNS = 3
_MARKERS = "os^Dv"
_DASHED = ((GREY, ":"), (INK, "--"))


@styled
def residual_clouds(
    planes: Sequence[np.ndarray], shares: Sequence[float], title: str, caption: str
) -> Figure:
    """What is left of each frame after 0, 1, … codebooks: ``[T, 2]`` each, all on one scale.

    ``shares`` are the energy left. Raises InputError for no planes.
    """
    if not planes:
        raise InputError("no residuals to draw", "pass at least one")
    rows = -(-len(planes) // _COLUMNS)
    drawn, axes = figure(
        title, caption, rows, _COLUMNS, height_in=2.3 * rows, sharex=True, sharey=True
    )
    reach = 1.08 * max(float(np.abs(plane).max()) for plane in planes)
    for number_of, (place, plane, share) in enumerate(zip(axes, planes, shares, strict=False)):
        place.plot(plane[:, 0], plane[:, 1], "o", color=BLUE, markersize=3, alpha=0.55)
        place.plot(0, 0, "+", color=VERMILION, markersize=9, markeredgewidth=1.6)
        named = "before any" if number_of == 0 else f"after {number_of}"
        left = "100" if share >= 0.995 else f"{100 * share:.2g}"  # never an exponent
        place.set_title(f"{named}: {left} % left", fontsize=10)
        place.set_xlim(-reach, reach)
        place.set_ylim(-reach, reach)
        place.grid(visible=True, axis="both")
    for place in axes[len(planes) :]:
        place.set_visible(False)
    for place in axes[-_COLUMNS:]:
        place.set_xlabel("1st component (1)")
    for place in axes[::_COLUMNS]:
        place.set_ylabel("2nd component (1)")
    return drawn


@styled
def distortion(curve: Mapping[float, float], title: str, caption: str) -> Figure:
    """Distance over kbit/s, a point for each number of codebooks."""
    if not curve:
        raise InputError("no bitrates to draw", "pass at least one")
    drawn, (axes,) = figure(title, caption, height_in=2.9)
    axes.plot(list(curve), list(curve.values()), "o-", color=BLUE)
    for count, (rate, distance) in enumerate(curve.items(), start=1):
        axes.annotate(
            f"{count}", (rate, distance), xytext=(0, 7), textcoords="offset points", ha="center",
            fontsize=9.5,
        )  # fmt: skip
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1.15 * max(curve.values()))
    axes.grid(visible=True, axis="y")
    axes.set_xlabel("bitrate (kbit/s); the figure at a point is its number of codebooks")
    axes.set_ylabel("multi-scale distance (1)")
    return drawn


@styled
def times_by_frames(
    curves: Mapping[str, Mapping[int, float]],
    title: str,
    caption: str,
    dashed: Sequence[str] = (),
    xlabel: str = "frames searched at a time (80 ms each)",
    ylabel: str = "time (ms)",
) -> Figure:
    """One line a way over the number of frames, on logarithmic axes; limits are ``dashed``."""
    values = [value for curve in curves.values() for value in curve.values()]
    if not values:
        raise InputError("no times to draw", "pass at least one")
    drawn, (axes,) = figure(title, caption, height_in=3.5)
    ends: list[tuple[float, float]] = []
    for index, (name, curve) in enumerate(curves.items()):
        x: list[float] = list(curve)
        y = list(curve.values())
        if name in dashed:
            color, line = _DASHED[list(dashed).index(name) % len(_DASHED)]
            # One point makes no line.
            x, y = (x, y) if len(x) > 1 else ([x[0] / 1.15, x[0] * 1.4], y * 2)
            axes.plot(x, y, line, color=color, linewidth=1.8, label=name)
            continue
        marker = _MARKERS[index % len(_MARKERS)]
        axes.plot(x, y, marker=marker, color=PALETTE[index % len(PALETTE)], label=name)
        ends.append((x[-1], y[-1]))
    lengths = sorted({length for curve in curves.values() for length in curve})
    axes.set_xscale("log")
    axes.set_xlim(lengths[0] / 1.15, lengths[-1] * 1.4)
    axes.set_xticks(lengths, [f"{length:,}" for length in lengths])
    axes.set_xlabel(xlabel)
    plain_log(axes, values)
    axes.grid(visible=True, axis="y")
    axes.set_ylabel(ylabel)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=9.5, borderaxespad=0.2)
    shifts = _shifts([last for _, last in ends], axes)
    for (place, last), shift in zip(ends, shifts, strict=True):
        axes.annotate(number(last), (place, last), xytext=(7, shift), fontsize=9.5, va="center",
                      textcoords="offset points")  # fmt: skip
    return drawn


def _shifts(values: Sequence[float], axes: Axes, least: float = 11.5) -> list[float]:
    """By how many points labels at ``values`` of a logarithmic axis are raised, to be ``least``
    apart.
    """
    low, high = axes.get_ylim()
    height = axes.get_window_extent().height * 72 / axes.figure.dpi
    shifts = [0.0] * len(values)
    below = -np.inf
    for index in sorted(range(len(values)), key=values.__getitem__):
        place = height * np.log(values[index] / low) / np.log(high / low)
        shifts[index] = max(0.0, float(below + least - place))
        below = place + shifts[index]
    return shifts
