"""Plots of the frame engine: a frame of each rung, launch by launch, on one time line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from workbench.errors import InputError
from workbench.lab.display import number
from workbench.lab.style import GREY, INK, PALETTE, figure, styled

if TYPE_CHECKING:  # it imports torch, which a plot doesn't need
    from workbench.profiling.timeline import FrameLine

_STAGE_HEIGHT, _BUSY_HEIGHT = 0.34, 0.3


@styled
def launch_lines(
    lines: Mapping[str, FrameLine],
    launches: Mapping[str, float],
    title: str,
    caption: str,
) -> Figure:
    """A frame of each rung on one time axis: its stages, and below them, in black, what ran.

    White between the black is time in which nothing ran; each rung's ``launches`` stand beside it.
    Raises InputError for no lines.
    """
    if not lines:
        raise InputError("no frames to draw", "pass at least one")
    drawn, (axes,) = figure(title, caption, height_in=0.9 + 0.62 * len(lines))
    names = list(dict.fromkeys(stage for line in lines.values() for stage, _, _ in line.stages))
    colors = {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(names)}
    longest = max(line.length_ms for line in lines.values())
    for row, (name, line) in enumerate(lines.items()):
        for stage, start_ms, length_ms in line.stages:
            axes.broken_barh(
                [(start_ms, length_ms)], (row - 0.38, _STAGE_HEIGHT), color=colors[stage]
            )
        axes.broken_barh(line.busy, (row + 0.02, _BUSY_HEIGHT), color=INK, linewidth=0)
        axes.text(
            line.length_ms + 0.012 * longest, row,
            f"{number(line.length_ms)} ms\n{launches[name]:,.0f} launches",
            va="center", fontsize=9, linespacing=1.15,
        )  # fmt: skip
    axes.set_yticks(range(len(lines)), list(lines))
    axes.set_ylim(len(lines) - 0.45, -0.65)
    axes.set_xlim(0, 1.22 * longest)
    axes.set_xlabel("time since the frame's begin (ms, under the profiler)")
    axes.tick_params(axis="y", length=0)
    on_gpu = next(iter(lines.values())).on_gpu
    handles = [Patch(color=colors[name], label=name) for name in names]
    handles.append(Patch(color=INK, label="a kernel runs" if on_gpu else "an operator runs"))
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=5, fontsize=9.5,
        handlelength=1.2, columnspacing=1.2, borderaxespad=0.2, labelcolor=GREY,
    )  # fmt: skip
    return drawn
