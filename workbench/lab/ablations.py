"""What a notebook shows of an ablation: the switch explained, its samples, all arms, its sound.

Where something couldn't be measured, these say why in its place.
"""

from __future__ import annotations

from typing import Any

from workbench.lab import study_plots
from workbench.lab.display import Rich
from workbench.lab.players import players
from workbench.lab.report import Report
from workbench.optimizations.registry import choose
from workbench.profiling.roofline import FrameLimit
from workbench.studies.ablation.result import Ablation


def switch_guide(optimization: str) -> Any:
    """The switch's own words: what, why, when not, source, contract, and what it needs."""
    from IPython.display import Markdown

    chosen = choose(optimization)
    switch = chosen.switch
    title, _, rest = switch.guide.partition("\n\n")
    lines = [f"### {chosen}: {title.rstrip('.')}", ""]
    for paragraph in _paragraphs(rest):
        head, colon, words = paragraph.partition(": ")
        lines += [f"**{head}.** {words}" if colon else paragraph, ""]
    needs = ", ".join(switch.requires) or "nothing else"
    excludes = f" It excludes {', '.join(switch.conflicts)}." if switch.conflicts else ""
    lines.append(f"**Needs** {needs}.{excludes} **Kept off** by `{switch.variable}=0`.")
    return Markdown("\n".join(lines))


def show_pairs(report: Report, ablation: Ablation, optimization: str) -> None:
    """Every round's ratio of one switch, or the reason why there is none."""
    row = ablation.row(optimization)
    if row.ratio is None:
        print(f"{optimization} has no measurement here: {row.reason}.")
        return
    found = ablation.samples_of(optimization)
    figure = study_plots.paired_ratios(
        found.ratios,
        row.ratio,
        ablation.title_of(row),
        ablation.caption(found.study),
        ablation.settings.threshold,
        found.new_processes,
    )
    report.figure("pairs", figure, alt=f"Ratio of each round. {ablation.title_of(row)}.")


def show_forest(report: Report, ablation: Ablation, title: str, name: str = "all") -> None:
    """All measured switches with interval and verdict."""
    estimates = {
        row.name: (row.ratio, row.verdict) for row in ablation.rows if row.ratio and row.verdict
    }
    if not estimates:
        print(f"Nothing was measured here. {ablation.finding}")
        return
    figure = study_plots.forest(estimates, title, ablation.caption(), ablation.settings.threshold)
    report.figure(name, figure, alt=f"Times as fast with each switch. {title}.")


def show_rungs(report: Report, ablation: Ablation, limit: FrameLimit | None = None) -> None:
    """The ladder: a frame's time after each rung, with what the rung gained."""
    times = ablation.times()
    if not times:
        print(f"Nothing was measured here. {ablation.finding}")
        return
    gains = {arm: row.ratio for arm, row in ablation.rungs().items() if row.ratio}
    title = ablation.ladder_title
    limit_ms = limit.limit_ms if limit else None
    figure = study_plots.rungs(times, gains, title, ablation.caption(), limit_ms)
    report.figure("ladder", figure, alt=f"Time of a frame after each rung. {title}.")


def play_pair(report: Report, ablation: Ablation, optimization: str) -> Rich | None:
    """The same text and seed without and with the switch, at one gain."""
    row = ablation.row(optimization)
    clips = ablation.clips_of(optimization)
    print(f"The sound: {row.sound_words}.")
    if not clips:
        return None
    for number, (label, clip) in enumerate(clips.items()):
        report.clip(f"clip_{number}", clip, label)
    return players(clips)


def _paragraphs(text: str) -> list[str]:
    """Lines joined to paragraphs; each line that starts with ``Word:`` begins a new one."""
    paragraphs: list[str] = []
    for line in text.splitlines():
        head, colon, _ = line.partition(": ")
        begins = bool(colon) and head[:1].isupper() and len(head.split()) <= 2
        if begins or not paragraphs:
            paragraphs.append(line.strip())
        elif line.strip():
            paragraphs[-1] += f" {line.strip()}"
    return [paragraph for paragraph in paragraphs if paragraph]
