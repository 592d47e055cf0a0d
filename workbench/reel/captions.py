"""Captions with times, as SubRip (SRT), WebVTT and JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from workbench.files import write_json, write_text

LINE_CHARS = 42  # the usual width of a subtitle's line
FORMATS = ("srt", "vtt", "json")


@dataclass(frozen=True)
class Caption:
    """``text`` said by ``speaker`` from ``start_s`` to ``end_s`` of the track."""

    speaker: str
    text: str
    start_s: float
    end_s: float


def srt(captions: Sequence[Caption]) -> str:
    """SubRip: numbered, ``hours:minutes:seconds,milliseconds``, the speaker before the text."""
    return "\n".join(
        f"{number}\n{_time(one.start_s, ',')} --> {_time(one.end_s, ',')}\n"
        f"{_wrapped(f'{one.speaker}: {one.text}')}\n"
        for number, one in enumerate(captions, start=1)
    )


def vtt(captions: Sequence[Caption]) -> str:
    """WebVTT (W3C): the speaker in a voice tag, ``&``, ``<`` and ``>`` escaped."""
    cues = [
        f"{number}\n{_time(one.start_s, '.')} --> {_time(one.end_s, '.')}\n"
        f"<v {_escaped(one.speaker)}>{_escaped(_wrapped(one.text))}\n"
        for number, one in enumerate(captions, start=1)
    ]
    return "\n".join(["WEBVTT\n", *cues])


def write_captions(captions: Sequence[Caption], folder: Path, duration_s: float) -> dict[str, Path]:
    """Writes ``captions.srt``, ``.vtt`` and ``.json`` into ``folder``; returns them by format."""
    paths = {format: folder / f"captions.{format}" for format in FORMATS}
    write_text(paths["srt"], srt(captions))
    write_text(paths["vtt"], vtt(captions))
    write_json(
        paths["json"],
        {"duration_s": duration_s, "captions": [asdict(caption) for caption in captions]},
    )
    return paths


def _time(seconds: float, comma: str) -> str:
    whole_ms = round(seconds * 1000)
    minutes, ms = divmod(whole_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{ms // 1000:02}{comma}{ms % 1000:03}"


def _wrapped(text: str) -> str:
    """Lines of a subtitle's width; long words stay whole."""
    return "\n".join(textwrap.wrap(text, LINE_CHARS, break_long_words=False) or [text])


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
