"""What comes of a script: files, captions, and how fast it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from workbench.audio import Audio
from workbench.reel.captions import Caption
from workbench.reel.monitor import Timer, target_met, target_verdict
from workbench.reel.script import Script
from workbench.reel.track import Span, onset_errors_ms

TrackFormat = Literal["wav", "flac"]


@dataclass(frozen=True)
class SegmentRow:
    """A segment of the finished track. ``kept`` from an earlier run, or spoken in this one."""

    speaker: str
    text: str
    start_s: float
    end_s: float
    audio_s: float
    seed: int
    attempt: int
    ended: str
    kept: bool


@dataclass(frozen=True)
class Reel:
    """The result: files, captions, and how fast it was.

    ``synthesis_s`` is the wall time in which the segments of this run were spoken, ``spoken_s``
    their sound; loading, warm-up and assembling are timed on their own, in ``timers``.
    ``engines`` says what ran; ``notes`` what didn't go as asked.
    """

    script: Script
    audio: Audio
    track_path: Path
    caption_paths: Mapping[str, Path]
    captions: tuple[Caption, ...]
    segments: tuple[SegmentRow, ...]
    spoken_s: float
    synthesis_s: float
    timers: Mapping[str, Timer]
    engines: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...] = ()

    @property
    def rtf(self) -> float | None:
        """Real-time factor of this run's segments; None where all were kept."""
        return self.synthesis_s / self.spoken_s if self.spoken_s else None

    @property
    def kept(self) -> int:
        """Segments that an earlier run had finished."""
        return sum(row.kept for row in self.segments)

    @property
    def redone(self) -> int:
        """Segments that were spoken in this run."""
        return len(self.segments) - self.kept

    @property
    def onset_errors_ms(self) -> list[float]:
        """By how much each caption comes after (+) or before its speech; see ``reel.track``."""
        rate_hz = self.audio.rate_hz
        spans = [
            Span(round(one.start_s * rate_hz), round(one.end_s * rate_hz)) for one in self.captions
        ]
        return onset_errors_ms(self.audio, spans)

    def timer_rows(self) -> list[dict[str, float | str | int]]:
        """The monitor's summary as a table's rows."""
        return [
            {
                "timer": name,
                "times": timer.count,
                "total (s)": round(timer.total_s, 3),
                "longest (s)": round(timer.longest_s, 3),
            }
            for name, timer in self.timers.items()
        ]

    @property
    def verdict(self) -> str:
        """VoiceReel's target in words."""
        return target_verdict(self.spoken_s, self.synthesis_s)

    def summary(self) -> dict[str, Any]:
        """All of it but the sound, as JSON values; paths relative to the track's folder."""
        return {
            "title": self.script.title,
            "track": self.track_path.name,
            "captions": {name: path.name for name, path in self.caption_paths.items()},
            "audio_s": self.audio.duration_s,
            "spoken_s": self.spoken_s,
            "synthesis_s": self.synthesis_s,
            "rtf": self.rtf,
            "target_met": target_met(self.spoken_s, self.synthesis_s),
            "verdict": self.verdict,
            "kept": self.kept,
            "redone": self.redone,
            "segments": [asdict(row) for row in self.segments],
            "engines": {name: dict(about) for name, about in self.engines.items()},
            "timers": {name: asdict(timer) for name, timer in self.timers.items()},
            "notes": list(self.notes),
        }
