"""The plots of a profile: operators, one frame on a time line, memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from workbench.errors import InputError
from workbench.lab.display import number
from workbench.lab.style import BLUE, GREY, INK, PALETTE, PAPER, VERMILION, figure, styled

if TYPE_CHECKING:  # they import torch, which a plot doesn't need
    from workbench.profiling.memory import MemoryUse
    from workbench.profiling.tables import OperatorRow
    from workbench.profiling.timeline import FrameLine

_LONG = 34  # characters of an operator's name


@styled
def operator_bars(
    rows: Sequence[OperatorRow], title: str, caption: str, on_gpu: bool = False
) -> Figure:
    """The time of each operator as a bar, with its calls: the GPU's time, or its own on the CPU.

    Raises InputError for no rows.
    """
    if not rows:
        raise InputError("no operators to draw", "pass at least one row")
    times = [row.device_ms if on_gpu else row.self_ms for row in rows]
    drawn, (axes,) = figure(title, caption, height_in=0.7 + 0.3 * len(rows))
    axes.barh(range(len(rows)), times, 0.66, color=BLUE)
    for place, (row, time_ms) in enumerate(zip(rows, times, strict=True)):
        rate = f", {number(row.gflops)} GFLOP/s" if row.gflops else ""
        axes.text(
            time_ms + 0.01 * max(times), place, f"{number(time_ms)} ms, {row.calls:,} calls{rate}",
            va="center", fontsize=9.5,
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [_short(row.operator) for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.8 * max(times))
    axes.set_xlabel("time of its kernels (ms)" if on_gpu else "time in itself (ms, profiled)")
    axes.tick_params(axis="y", length=0)
    return drawn


@styled
def frame_timeline(line: FrameLine, title: str, caption: str) -> Figure:
    """One frame on a time line: the stages, what ran, and the gaps in which nothing did."""
    drawn, (axes,) = figure(title, caption, height_in=2.5)
    names = list(dict.fromkeys(stage for stage, _, _ in line.stages))
    colors = {name: PALETTE[place % (len(PALETTE) - 1)] for place, name in enumerate(names)}
    for stage, start_ms, length_ms in line.stages:
        axes.broken_barh([(start_ms, length_ms)], (-0.4, 0.8), color=colors[stage])
    axes.broken_barh(line.busy, (0.6, 0.8), color=INK, linewidth=0)
    axes.broken_barh(line.idle, (1.6, 0.8), color=VERMILION, linewidth=0)
    what = "a kernel runs" if line.on_gpu else "an operator runs"
    axes.set_yticks([0, 1, 2], ["stage", what, "nothing runs"])
    axes.set_ylim(2.55, -0.55)
    axes.set_xlim(0, line.length_ms)
    axes.set_xlabel("time since the frame's begin (ms, under the profiler)")
    axes.tick_params(axis="y", length=0)
    handles = [Patch(color=colors[name], label=name) for name in names]
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=5, fontsize=9.5,
        handlelength=1.2, columnspacing=1.2, borderaxespad=0.2,
    )  # fmt: skip
    return drawn


@styled
def memory_line(memory: MemoryUse, title: str, caption: str) -> Figure:
    """Memory held above the request's start over time, with its peak marked."""
    drawn, (axes,) = figure(title, caption, height_in=2.3)
    times, held = zip(*memory.timeline, strict=True)
    sizes = [size / 1e6 for size in held]
    axes.fill_between(times, sizes, step="post", color=BLUE, alpha=0.25, linewidth=0)
    axes.step(times, sizes, where="post", color=BLUE, linewidth=1)
    peak = max(range(len(sizes)), key=sizes.__getitem__)
    axes.plot(times[peak], sizes[peak], "o", color=VERMILION)
    axes.annotate(
        f"peak {number(sizes[peak])} MB", (times[peak], sizes[peak]), xytext=(6, -3),
        textcoords="offset points", ha="left" if times[peak] < 0.75 * times[-1] else "right",
        bbox={"facecolor": PAPER, "edgecolor": GREY, "linewidth": 0.5, "pad": 1.5}, fontsize=9.5,
    )  # fmt: skip
    axes.set_xlim(0, times[-1])
    axes.set_ylim(min(0.0, *sizes), 1.12 * max(sizes[peak], 1e-6))
    axes.set_xlabel("time since the request (ms, under the profiler)")
    axes.set_ylabel("memory (MB)")
    return drawn


def _short(name: str) -> str:
    return name if len(name) <= _LONG else f"{name[: _LONG - 1]}…"
