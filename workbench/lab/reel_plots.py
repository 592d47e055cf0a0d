"""A track and its captions: who says what, over the waveform."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.lab.sounds import draw_waveform
from workbench.lab.style import INK, PALETTE, figure, styled

ROW_S = 8.0  # of the track on a line
_CHARS = 108  # of 8.5 pt that fit into a line


class Caption(Protocol):
    """``text`` said by ``speaker`` from ``start_s`` to ``end_s``."""

    @property
    def speaker(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...


@styled
def captioned_waveform(
    track: Audio, captions: Sequence[Caption], title: str, caption: str, row_s: float = ROW_S
) -> Figure:
    """The waveform in lines of ``row_s`` seconds; a band in the speaker's colour for each caption.

    The band reaches exactly from where a caption appears to where it goes. A text too long for its
    band ends in an ellipsis.
    """
    if not len(track) or not captions:
        raise InputError("no track, or no captions", "speak a script first")
    rows = math.ceil(track.duration_s / row_s)
    speakers = list(dict.fromkeys(one.speaker for one in captions))
    peak = max(0.02, float(np.abs(track.samples).max()))
    drawn, axes = figure(title, caption, rows, 1, height_in=0.5 + 0.95 * rows)
    for row, line in enumerate(axes):
        begin_s = row * row_s
        first, last = (round(at * track.rate_hz) for at in (begin_s, begin_s + row_s))
        part = Audio(track.samples[first:last], track.rate_hz)
        draw_waveform(line, part, peak)
        line.collections[0].set_color(INK)
        for one, after in zip(captions, [*captions[1:], None], strict=True):
            color = PALETTE[speakers.index(one.speaker) % len(PALETTE)]
            until_s = track.duration_s if after is None else after.start_s
            _band(line, one, until_s, begin_s, row_s, color)
        line.set_xlim(0, row_s)
        ticks = range(0, math.ceil(row_s) + 1, 2)
        line.set_xticks(list(ticks), [f"{begin_s + tick:g}" for tick in ticks])
        line.set_yticks([])
        line.spines["left"].set_visible(False)
    axes[-1].set_xlabel("time (s)")
    _legend(drawn, axes[0], speakers)
    return drawn


def caption_words(captions: Sequence[Caption]) -> str:
    """All captions as text, for who can't see the picture."""
    return "; ".join(f"{one.start_s:.1f} s {one.speaker}: {one.text}" for one in captions)


def _band(
    axes: Any, one: Caption, until_s: float, begin_s: float, row_s: float, color: str
) -> None:
    """A caption's part on the line from ``begin_s``; its text may reach on to ``until_s``."""
    left, right = max(one.start_s - begin_s, 0.0), min(one.end_s - begin_s, row_s)
    if right <= left:
        return
    above = axes.get_xaxis_transform()
    axes.axvspan(left, right, color=color, alpha=0.22, linewidth=0)
    axes.vlines([left, right], 0, 1, color=color, linewidth=1.2, transform=above)
    room = int((min(until_s - begin_s, row_s) - left) * _CHARS / row_s)
    text = one.text if len(one.text) <= room else f"{one.text[: max(room - 1, 0)]}…"
    if one.start_s >= begin_s or room > 8:  # what began on the line before is named again
        axes.annotate(
            text, (left, 1), xytext=(2, 2), textcoords="offset points", xycoords=above,
            fontsize=8.5, color=INK,
        )  # fmt: skip


def _legend(drawn: Figure, axes: Any, speakers: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(color=PALETTE[index % len(PALETTE)], alpha=0.4, label=name)
        for index, name in enumerate(speakers)
    ]
    axes.legend(
        handles=patches, loc="lower right", bbox_to_anchor=(1, 1.12), ncols=6, fontsize=9.5,
        borderaxespad=0.1,
    )  # fmt: skip
