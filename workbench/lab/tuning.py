"""What a notebook shows of fine-tuning: loss curves, and studies with their verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workbench.errors import InputError
from workbench.finetune.loop import history
from workbench.hardware.fingerprint import label
from workbench.lab import study_plots
from workbench.lab.report import Report
from workbench.lab.style import PALETTE, figure, styled
from workbench.measure.plan import Plan
from workbench.measure.study import CONTROL, Study
from workbench.measure.study_record import write_study

_TRAINED, _HELD_OUT = "trained on", "held out"
_MARKED = 30  # points of a curve that still get a marker each


@styled
def losses(
    curves: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]], title: str, caption: str
) -> Figure:
    """Losses by step: a panel for each part of the loss, with a line for each curve.

    ``curves`` is ``{"first": {"trained on": [(step, loss), …], "held out": …}, …}``.
    """
    if not any(curve for panel in curves.values() for curve in panel.values()):
        raise InputError("no losses to draw", "train first")
    drawn, panels = figure(title, caption, columns=len(curves), height_in=3.0)
    for axes, (part, lines) in zip(panels, curves.items(), strict=True):
        for color, (name, curve) in zip(PALETTE, lines.items(), strict=False):
            steps, values = zip(*curve, strict=True)
            marker = "o" if len(curve) <= _MARKED else ""
            axes.plot(steps, values, color=color, marker=marker, markersize=4, label=name)
        axes.set_title(part)
        axes.set_xlabel("training step (number)")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(visible=True, axis="y")
    panels[0].set_ylabel("loss (nats)")
    panels[0].legend(loc="best", fontsize=9.5)
    return drawn


def show_losses(report: Report, folder: Path | str, caption: str) -> None:
    """The curves of a training in ``folder``: what it trained on, and what was held out.

    The title says how far the held-out losses fell, from the first look at them to the best.
    """
    found = history(folder)
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for stage, parts in found.items():
        name = _HELD_OUT if stage.endswith("check") else _TRAINED
        for part, curve in parts.items():
            curves.setdefault(part, {})[name] = curve
    fell = [
        f"{part} {lines[_HELD_OUT][0][1]:.2f} to {min(value for _, value in lines[_HELD_OUT]):.2f}"
        for part, lines in curves.items()
        if _HELD_OUT in lines
    ]
    title = f"Held-out loss: {', '.join(fell)}" if fell else "Loss; nothing was held out"
    drawn = losses(curves, title, caption)
    report.figure("losses", drawn, alt=f"Losses by training step. {title}.")


def study_of(trials: int, run: Callable[[Plan], Study]) -> Study | None:
    """``run`` with a plan of so many rounds; None, and nothing runs, for 0."""
    return run(Plan(trials=trials)) if trials else None


def show_study(report: Report, study: Study | None, name: str, title: str) -> None:
    """All arms of ``study`` with interval and verdict; says so where it was left out.

    The study itself, with every raw sample, is written beside the record.
    """
    if study is None:
        print("This study was left out: it was given no trials.")
        return
    write_study(report.files / f"{name}_study", study)
    estimates = {}
    for arm in study.others:
        judgement = study.judgement(arm)
        if arm != CONTROL and judgement.ratio is not None:
            estimates[arm] = (judgement.ratio, judgement.verdict)
    if not estimates:
        print(f"Nothing can be said: {study.verdict}")
        return
    rounds = max(len(result.rounds) for result in study.results.values())
    caption = f"{label(dict(study.environment_before))} · {rounds} interleaved rounds"
    drawn = study_plots.forest(estimates, title, caption, study.plan.threshold)
    report.figure(name, drawn, alt=f"Times as fast as {study.baseline.arm.name}. {title}.")
