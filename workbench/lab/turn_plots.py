"""Plots of turns: a recording with its turn ends, and false cut-offs against latency."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from workbench.audio import Audio
from workbench.engines.turns.timeline import Timeline
from workbench.errors import InputError
from workbench.lab.sounds import draw_waveform
from workbench.lab.style import FAINT, GREEN, INK, PALETTE, PAPER, figure, styled
from workbench.studies.turns.curves import Curve, Point

_MARKERS = "os^Dv"  # told apart by shape as well as by colour


@styled
def turn_timeline(
    audio: Audio, found: Timeline, title: str, caption: str, true_end_s: float | None = None
) -> Figure:
    """Sound, the probability of speech, and where each detector ends the turn.

    ``true_end_s`` is where the speech of the turn really ends, where that is known.
    """
    drawn, (wave, chance) = figure(
        title, caption, 2, 1, height_in=3.4, sharex=True, height_ratios=[1.2, 1]
    )
    end_s = len(found.probabilities) * found.frame_s
    draw_waveform(wave, audio, max(0.02, float(np.abs(audio.samples).max(initial=0.0))))
    for index, part in enumerate(found.spoken):
        for axes in (wave, chance):
            axes.axvspan(part.start_s, part.end_s, color=FAINT, zorder=0,
                         label="speech found" if index == 0 and axes is wave else None)  # fmt: skip
    times = np.arange(len(found.probabilities)) * found.frame_s
    chance.step(times, found.probabilities, where="post", color=INK, linewidth=1.2)
    chance.set_ylim(-0.05, 1.05)
    chance.set_ylabel("P(speech)")
    if true_end_s is not None:
        wave.axvline(true_end_s, color=GREEN, linestyle=":", label="true end")
        chance.axvline(true_end_s, color=GREEN, linestyle=":")
    for index, (name, ends) in enumerate(found.ends.items()):
        color, marker = PALETTE[index % len(PALETTE)], _MARKERS[index % len(_MARKERS)]
        for row, end in enumerate(ends):
            label = f"{name}: turn over" if row == 0 else None
            for axes in (wave, chance):
                axes.axvline(end.at_s, color=color, linewidth=1.5, linestyle="--")
            wave.plot(end.at_s, 0, marker, color=color, markersize=8, label=label, linestyle="none",
                      markeredgecolor=PAPER)  # fmt: skip
    wave.set_yticks([])
    wave.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5, fontsize=9, borderaxespad=0.2)
    chance.set_xlim(0, end_s)
    chance.set_xlabel("time (s)")
    return drawn


@styled
def frontiers(
    curves: Mapping[str, Curve], marks: Mapping[str, Point], title: str, caption: str
) -> Figure:
    """False cut-offs against mean latency, a line a curve with its interval; lower left is better.

    ``marks`` are single policies, with their intervals.
    """
    if not curves or not all(curve.points for curve in curves.values()):
        raise InputError("no curve to draw, or one without points", "collect more turns")
    drawn, (axes,) = figure(title, caption, height_in=3.8)
    for index, (name, curve) in enumerate(curves.items()):
        x = [one.latency_s.value for one in curve.points]
        rates = [one.false_cut_offs for one in curve.points]
        color = PALETTE[index % len(PALETTE)]
        axes.fill_between(x, [100 * one.low for one in rates], [100 * one.high for one in rates],
                          color=color, alpha=0.13, linewidth=0, step="post")  # fmt: skip
        axes.plot(x, [100 * one.value for one in rates], color=color, drawstyle="steps-post",
                  marker=_MARKERS[index % len(_MARKERS)], markersize=4, label=name)  # fmt: skip
    for name, mark in marks.items():
        at, rate = mark.latency_s, mark.false_cut_offs
        axes.errorbar(
            at.value, 100 * rate.value, color=INK, marker="*", markersize=13, linestyle="none",
            xerr=[[at.value - at.low], [at.high - at.value]],
            yerr=[[100 * (rate.value - rate.low)], [100 * (rate.high - rate.value)]], label=name,
        )  # fmt: skip
    axes.grid(visible=True, axis="both")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("mean time from the end of speech to the end of the turn (s)")
    axes.set_ylabel("hesitations cut off (%)")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, fontsize=9.5, borderaxespad=0.2)
    return drawn
