"""What a notebook shows of claims: claimed ranges beside measured ones, and tables by answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from workbench.lab.display import Rich, table
from workbench.lab.style import BLUE, FAINT, GREY, INK, ORANGE, VERMILION, figure, styled
from workbench.studies.claims import Answer, Answers, Standing

# Told apart by shape as well as by colour.
_LOOKS: Mapping[Standing, tuple[str, str]] = {
    Standing.CONFIRMED: (BLUE, "o"),
    Standing.PARTLY: (ORANGE, "D"),
    Standing.REFUTED: (VERMILION, "X"),
    Standing.NOT_MEASURABLE: (GREY, "s"),
}
_RATIOS = ("speedup", "memory_ratio")
_SAVINGS = ("saving", "ttfa_saving", "first_call_saving", "variance_saving")
_TICKS = (0.1, 0.2, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20)
_FINE_TICKS = (0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8)  # for less than twice
_COLUMNS = ("claim", "it says", "claimed", "measured", "why")
_MOST = 20.0  # of the axis: a saving of everything would be without end


@styled
def claim_ranges(answers: Answers) -> Figure:
    """Each claim that is a ratio: the claimed range as a bar, the measured interval as a dot.

    Savings are drawn as the ratio they make (half the time: 2×). Claims without a measured figure
    are left out, unless there is none at all, where the bars stand alone.
    """
    comparable = [
        one for group in answers.by_standing.values() for one in group if _is_ratio(one)
    ]  # fmt: skip
    rows = [one for one in comparable if one.figure] or comparable
    height_in = 1.0 + 0.3 * len(rows)
    drawn, (axes,) = figure(answers.title, answers.caption, height_in=height_in)
    for row, one in enumerate(rows):
        low, high = (_ratio(one, value) for value in one.claim.expected)
        if one.claim.expected == (0.0, 1.0):  # "faster", by whatever much
            axes.barh(row, _MOST - 1, 0.62, left=1, color=FAINT, hatch="///", edgecolor="white")
        else:
            axes.barh(row, max(high - low, 0.02 * low), 0.62, left=low, color="#C9C9C2")
        if one.figure:
            color, marker = _LOOKS[one.standing]
            ends = _ratio(one, one.figure.low), _ratio(one, one.figure.high)
            axes.hlines(row, *ends, color=color, linewidth=2.5)
            axes.plot(_ratio(one, one.figure.value), row, marker, color=color, markersize=7)
    axes.axvline(1, color=INK, linewidth=1, linestyle="--")
    axes.set_yticks(range(len(rows)), [_name(one) for one in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    _axis(axes, rows)
    axes.set_xlabel("times as fast, as small or as steady (×)")
    axes.tick_params(axis="y", length=0, labelsize=9)
    _legend(axes, {one.standing for one in rows if one.figure})
    return drawn


def claim_tables(answers: Answers) -> Rich:
    """All claims as one table for each answer."""
    parts = [
        table(answers.table(standing), f"{str(standing).capitalize()} ({len(group)})", _COLUMNS)
        for standing, group in answers.by_standing.items()
    ]
    return Rich("".join(part.html for part in parts), "\n\n".join(part.text for part in parts))


def _is_ratio(answer: Answer) -> bool:
    return answer.claim.metric in (*_RATIOS, *_SAVINGS)


def _ratio(answer: Answer, value: float) -> float:
    """``value`` of a claim's metric as a ratio, within what the axis shows."""
    found = value if answer.claim.metric in _RATIOS else 1 / max(1 - value, 1 / _MOST)
    return min(max(found, 1 / _MOST), _MOST)


def _name(answer: Answer) -> str:
    what = {"memory_ratio": " (memory)", "variance_saving": " (spread)"}
    return f"{answer.claim.id}{what.get(answer.claim.metric, '')}"


def _axis(axes: Any, rows: list[Answer]) -> None:
    """A logarithmic axis that holds every measured interval and every claimed figure."""
    shown = [1.0]
    for one in rows:
        ends = [] if one.claim.expected == (0.0, 1.0) else list(one.claim.expected)
        ends += [one.figure.low, one.figure.high] if one.figure else []
        shown += [_ratio(one, value) for value in ends]
    low, high = 0.9 * min(shown), 1.15 * max(shown)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ticks = _TICKS if high > 2 * low else _FINE_TICKS
    axes.set_xticks([tick for tick in ticks if low <= tick <= high])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.minorticks_off()


def _legend(axes: Any, standings: set[Standing]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.transforms import blended_transform_factory

    handles: list[Any] = [Patch(facecolor="#C9C9C2", label="claimed")]
    handles.append(Patch(facecolor=FAINT, hatch="///", edgecolor="white", label="“faster”"))
    for standing, (color, marker) in _LOOKS.items():
        if standing in standings:
            handles.append(Line2D([], [], color=color, marker=marker, label=str(standing)))
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=6, fontsize=9,
        bbox_transform=blended_transform_factory(axes.figure.transFigure, axes.transAxes),
        handlelength=1.2, columnspacing=1.0, borderaxespad=0.2,
    )  # fmt: skip
