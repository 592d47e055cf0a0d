"""What notebooks show of engines: side by side, and F5-TTS's steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from workbench.errors import InputError
from workbench.lab.display import Rich, table
from workbench.lab.players import players
from workbench.lab.plots import interval_dots
from workbench.lab.report import Report
from workbench.lab.style import PALETTE, figure, styled
from workbench.measure.statistics import Interval
from workbench.measure.study_record import write_study
from workbench.studies.engines.f5 import F5Study, absence
from workbench.studies.engines.side_by_side import EngineStudy

_FAR = 30  # times the smallest figure, from where an axis is logarithmic


@styled
def step_rows(schedules: Mapping[str, Sequence[float]], title: str, caption: str) -> Figure:
    """Where the steps of each schedule lie between noise and speech: one row each."""
    if not schedules:
        raise InputError("no schedules to draw", "pass at least one")
    drawn, (axes,) = figure(title, caption, height_in=0.9 + 0.4 * len(schedules))
    for row, times in enumerate(schedules.values()):
        color = PALETTE[row % len(PALETTE)]
        axes.hlines(row, 0, 1, color=color, alpha=0.3)
        axes.plot(times, [row] * len(times), "o", color=color, markersize=7)
    axes.set_yticks(range(len(schedules)), list(schedules))
    axes.set_ylim(len(schedules) - 0.4, -0.6)
    axes.set_xlabel("time of the flow: 0 is noise, 1 is speech")
    axes.tick_params(axis="y", length=0)
    return drawn


def show_engines(report: Report, study: EngineStudy) -> Rich:
    """Table and plots of engines side by side; returns the table."""
    rows = study.rows()
    if not rows:
        return Rich("", "No engine spoke.")
    report.table("engines", rows, "Engines side by side")
    for name, metric, unit, finding in (
        ("first_audio", "ttfa_ms", "time to first audio (ms)", study.finding),
        ("speed", "rtf", "real-time factor (s of work for 1 s of sound)", study.speed_finding),
    ):
        found = study.intervals(metric)
        drawn = interval_dots(found, finding, study.caption, unit, log=_far_apart(found))
        report.figure(name, drawn, alt=f"{unit.capitalize()} of each engine. {finding}.")
    return table(rows, "Median (95 % interval); memory is that of the engine's own process")


def _far_apart(found: Mapping[str, Interval]) -> bool:
    """Whether an axis from 0 would show the smallest of these as nothing."""
    lowest = min(one.low for one in found.values())
    return lowest > 0 and max(one.high for one in found.values()) > _FAR * lowest


def show_what_ran(report: Report, study: EngineStudy) -> Rich:
    """Implementations, weights, and what loading and warming up took."""
    rows = study.what_ran()
    if not rows:
        return Rich("", "No engine spoke.")
    report.table("what_ran", rows, "What ran, and what it took to start")
    return table(rows, "What ran; the largest gap is the longest wait from one piece to the next")


def play_engines(report: Report, study: EngineStudy) -> Rich:
    """The same sentence by each engine, at one gain."""
    labels = study.labels
    if not labels:
        return Rich("", "No clips.")
    for number, (name, clip) in enumerate(labels.items()):
        report.clip(f"clip_{number}", clip, f"{name}: {clip.text}")
    return players(labels)


def show_f5(report: Report, study: F5Study | None) -> Any:
    """Table and plot of F5-TTS's arms, or what is missing; the study goes beside the record."""
    if study is None or not study.names:
        return Rich("", absence() if study is None else study.finding)
    write_study(report.files / "f5_study", study.study)
    rows = study.rows()
    report.table("f5", rows, "F5-TTS by steps, type and compiler")
    unit = "real-time factor (s of work for 1 s of sound)"
    drawn = interval_dots(study.rtfs, study.finding, study.caption, unit)
    report.figure("f5_speed", drawn, alt=f"Real-time factor of each arm. {study.finding}.")
    return table(rows, "Median (95 % interval); distance from the first arm's sound")


def play_f5(report: Report, study: F5Study | None) -> Rich:
    """The same sentence by each arm."""
    if study is None or not study.names:
        return Rich("", "No clips.")
    for number, (name, clip) in enumerate(study.labels.items()):
        report.clip(f"clip_{number}", clip, f"{name}: {clip.text}")
    return players(study.labels)
