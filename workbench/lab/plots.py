"""The plots of the notebooks: each takes figures, a title that states the finding, and a caption.

They return a matplotlib figure, for ``lab.show(figure, alt)`` or the report's ``figure``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from matplotlib.transforms import blended_transform_factory

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.lab.display import number
from workbench.lab.sounds import draw_spectrogram, draw_waveform
from workbench.lab.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PALETTE,
    PAPER,
    VERMILION,
    figure,
    styled,
)
from workbench.measure.playback import Playback
from workbench.measure.statistics import Interval, percentiles

_HALO = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.85, "pad": 1.0}


@styled
def stage_bars(
    stages_ms: Mapping[str, Mapping[str, float]],
    title: str,
    caption: str,
    limits_ms: Mapping[str, float] | None = None,
) -> Figure:
    """Where each item's time goes: one bar an item, stacked by stage, in ms.

    ``limits_ms`` marks the roofline of an item on its bar: no machine with these ceilings can be
    faster.
    """
    if not stages_ms:
        raise InputError("no bars to draw", "pass the stages of at least one item")
    names = list(dict.fromkeys(stage for stages in stages_ms.values() for stage in stages))
    drawn, (axes,) = figure(title, caption, height_in=1.3 + 0.37 * len(stages_ms))
    left = np.zeros(len(stages_ms))
    longest = max(sum(stages.values()) for stages in stages_ms.values())
    for index, stage in enumerate(names):
        widths = np.array([stages.get(stage, 0.0) for stages in stages_ms.values()])
        color = PALETTE[index % len(PALETTE)]
        axes.barh(range(len(left)), widths, 0.62, left=left, color=color, label=stage)
        for row, width in enumerate(widths):
            share = width / sum(list(stages_ms.values())[row].values() or [1])
            if width > 0.1 * longest:
                axes.text(
                    left[row] + width / 2, row, f"{100 * share:.0f} %",
                    ha="center", va="center", color=_readable_on(color), fontweight="bold",
                    fontsize=9.5,
                )  # fmt: skip
        left += widths
    for row, total in enumerate(left):
        axes.text(total + 0.012 * longest, row, f"{number(total)} ms", va="center", fontsize=10)
    for row, item in enumerate(stages_ms):
        if limits_ms and item in limits_ms:
            label = "roofline" if row == 0 else None
            axes.vlines(
                limits_ms[item], row - 0.44, row + 0.44, color=INK, linewidth=2.5, label=label
            )
    axes.set_yticks(range(len(left)), list(stages_ms))
    axes.invert_yaxis()
    axes.set_xlim(0, 1.14 * max(longest, *(limits_ms or {"": 0}).values()))
    axes.set_xlabel("time (ms)")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(_thousands)
    axes.tick_params(axis="y", length=0)
    _legend_above(axes)
    return drawn


@styled
def ecdf(
    samples: Mapping[str, Sequence[float]],
    title: str,
    caption: str,
    xlabel: str,
    points: Sequence[float] = (50, 95, 99),
    log: bool = False,
) -> Figure:
    """Share of samples at or below each value, one line an arm, with its percentiles marked."""
    drawn, (axes,) = figure(title, caption, height_in=3.4)
    for index, (name, values) in enumerate(samples.items()):
        color = PALETTE[index % len(PALETTE)]
        axes.ecdf(values, color=color, label=f"{name} (n = {len(values)})")
        found = percentiles(values, points)
        axes.plot(found.values(), [point / 100 for point in points], "o", color=color)
        axes.annotate(
            number(found["p50"]), (found["p50"], 0.5), ha="right", va="bottom",
            fontweight="bold", xytext=(-6, 3), textcoords="offset points",
        )  # fmt: skip
    for point in points:
        axes.axhline(point / 100, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
    axes.set_yticks([0, *(point / 100 for point in points)], ["0", *(f"p{p:g}" for p in points)])
    axes.get_yticklabels()[-1].set_verticalalignment("bottom")
    axes.set_ylim(0, 1.04)
    axes.set_ylabel("share of samples")
    axes.set_xlabel(xlabel)
    if log:
        _log_axis(axes, [value for values in samples.values() for value in values])
    else:
        axes.set_xlim(left=0)
    _legend_above(axes)
    return drawn


@styled
def waterfall(
    playbacks: Mapping[str, Playback],
    title: str,
    caption: str,
    onsets_ms: Mapping[str, float | None] | None = None,
) -> Figure:
    """Chunks on a time line, two lanes an arm: above when each was made, below when it is played.

    A made chunk's bar reaches from the arrival of the one before to its own arrival; underruns are
    hatched; a triangle marks where speech is first audible.
    """
    drawn, (axes,) = figure(title, caption, height_in=1.2 + 1.1 * len(playbacks))
    ticks: dict[float, str] = {}
    end = max(playback.end_ms for playback in playbacks.values())
    for index, (name, playback) in enumerate(playbacks.items()):
        made, plays = 3.0 * index, 3.0 * index + 1.05
        ticks |= {made: f"{name}: made", plays: "played"}
        begins = (0.0, *playback.arrivals_ms[:-1])
        spans = [(b, a - b) for b, a in zip(begins, playback.arrivals_ms, strict=True)]
        lanes = [(made, spans, BLUE), (plays, _spans(playback), ORANGE)]
        for lane, bars, color in lanes:
            label = None if index else ("a chunk is made" if lane == made else "a chunk is played")
            # Between bars of a pixel or two, edges would leave nothing to see.
            edges = 0.7 if min(width for _, width in bars) > 0.004 * end else 0.0
            axes.broken_barh(
                bars, (lane - 0.42, 0.84), facecolors=color, edgecolors=PAPER, linewidth=edges,
                label=label,
            )  # fmt: skip
        stalls = [(stall.start_ms, stall.duration_ms) for stall in playback.stalls]
        axes.broken_barh(
            stalls, (plays - 0.42, 0.84), facecolors=PAPER, edgecolors=VERMILION, hatch="////",
            label=None if index else "underrun: silence",
        )  # fmt: skip
        axes.annotate(
            f"first audio {number(playback.start_ms)} ms", (playback.start_ms, plays + 0.42),
            xytext=(0, -11), textcoords="offset points", fontsize=9.5, color=INK,
            ha="left" if playback.start_ms < 0.7 * end else "right",
        )  # fmt: skip
        onset = (onsets_ms or {}).get(name)
        if onset is not None:
            axes.plot(
                [onset], [plays], marker="^", color=INK, markersize=8, linestyle="none",
                label=None if index else "speech is audible",
            )  # fmt: skip
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.set_ylim(3.0 * len(playbacks) - 0.9, -0.8)
    axes.set_xlim(0, 1.02 * end)
    axes.set_xlabel("time after the request (ms)")
    axes.xaxis.set_major_formatter(_thousands)
    axes.tick_params(axis="y", length=0)
    _legend_above(axes)
    return drawn


@styled
def interval_dots(
    estimates: Mapping[str, Interval] | Mapping[str, Mapping[str, Interval]],
    title: str,
    caption: str,
    xlabel: str,
    reference: float | None = None,
    log: bool = False,
) -> Figure:
    """Each estimate as a dot with its interval and n; ``reference`` draws a line.

    A row holds one estimate, or several by arm, which then share a colour in all rows. ``log``
    is for positive figures of several powers of ten.
    """
    rows = {
        name: dict(one) if isinstance(one, Mapping) else {"": one}
        for name, one in estimates.items()
    }
    arms = list(dict.fromkeys(arm for row in rows.values() for arm in row))
    height_in = 0.9 + (0.42 if len(arms) == 1 else 0.36 * len(arms)) * len(rows)
    drawn, (axes,) = figure(title, caption, height_in=height_in)
    for row, of_arms in enumerate(rows.values()):
        for arm, interval in of_arms.items():
            place = arms.index(arm)
            y = row + (place - (len(arms) - 1) / 2) * 0.8 / len(arms)
            label = f"{arm} (n = {interval.n})" if arm and row == 0 else None
            axes.hlines(
                y, interval.low, interval.high, color=PALETTE[place], linewidth=4, alpha=0.4
            )
            axes.plot(
                interval.value, y, "o", color=PALETTE[place], markersize=8, label=label, zorder=5
            )
            axes.annotate(
                number(interval.value), (interval.value, y), xytext=(0, 6), ha="center",
                textcoords="offset points", fontsize=9.5, bbox=_HALO,
            )  # fmt: skip
    if reference is not None:
        axes.axvline(reference, color=INK, linewidth=1, linestyle="--")
    names = [f"{n} (n = {of[''].n})" if "" in of else n for n, of in rows.items()]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.45, -0.75)
    axes.margins(x=0.12)
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    elif min(one.low for row in rows.values() for one in row.values()) >= 0:
        axes.set_xlim(left=0)
    axes.set_xlabel(xlabel)
    axes.xaxis.set_major_formatter(_thousands)
    axes.tick_params(axis="y", length=0)
    if arms != [""]:
        _legend_above(axes)
    return drawn


@styled
def waveform_and_spectrogram(clips: Mapping[str, Audio], title: str, caption: str) -> Figure:
    """Each clip's waveform above its log-mel spectrogram, all on one scale of time and level.

    A line marks the audible onset, the first sample above -40 dBFS.
    """
    drawn, axes = figure(
        title, caption, 2 * len(clips), 1, height_in=2.4 * len(clips), sharex=True,
        height_ratios=[1, 2] * len(clips),
    )  # fmt: skip
    longest = max(clip.duration_s for clip in clips.values())
    peak = max(0.05, *(float(np.abs(clip.samples).max(initial=0)) for clip in clips.values()))
    for (name, clip), wave, bands in zip(clips.items(), axes[::2], axes[1::2], strict=True):
        draw_waveform(wave, clip, peak)
        image = draw_spectrogram(bands, clip)
        wave.set_title(name)
        wave.set_ylabel("level")
        bands.set_ylabel("frequency (kHz)")
        onset = clip.audible_onset_s
        if onset is not None:
            wave.axvline(onset, color=VERMILION, linewidth=1.5)
            wave.annotate(
                f"audible at {onset:.2f} s", (onset, peak), xytext=(4, -2), color=VERMILION,
                textcoords="offset points", va="top", fontsize=9, bbox=_HALO,
            )  # fmt: skip
    drawn.colorbar(image, ax=list(axes[1::2]), label="level (dB of full scale)", shrink=0.9)
    axes[-1].set_xlim(0, longest)
    axes[-1].set_xlabel("time (s)")
    return drawn


def _spans(playback: Playback) -> list[tuple[float, float]]:
    return list(zip(playback.played_ms, playback.durations_ms, strict=True))


def _legend_above(axes: Any, columns: int = 4) -> None:
    left_of_figure = blended_transform_factory(axes.figure.transFigure, axes.transAxes)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), bbox_transform=left_of_figure, ncols=columns,
        fontsize=9.5, handlelength=1.2, columnspacing=1.2, borderaxespad=0.2,
    )  # fmt: skip


def _readable_on(color: str) -> str:
    """Ink or white, whichever stands out on ``color`` (relative luminance of sRGB)."""
    red, green, blue = to_rgb(color)
    return INK if 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 > 0.25 else "white"


def _thousands(value: float, _: int) -> str:
    return f"{value:,g}"


def _log_axis(axes: Any, values: Sequence[float]) -> None:
    axes.set_xscale("log")
    low, high = min(values) / 1.3, max(values) * 1.3
    axes.set_xlim(low, high)
    steps = [digit * 10.0**power for power in range(-3, 7) for digit in (1, 2, 5)]
    steps = [step for step in steps if low <= step <= high]
    axes.set_xticks(steps, [f"{step:,g}" for step in steps])
    axes.minorticks_off()
