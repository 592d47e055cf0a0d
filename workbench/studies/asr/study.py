"""Ways of recognizing speech compared: latency against word errors, interleaved and paired.

All ways hear the same clips in one process and take turns; none of them has process-wide switches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import cycle
from statistics import mean
from typing import Any

from workbench.audio import Audio
from workbench.engines.asr.load import load_recognizer
from workbench.engines.asr.partials import partials
from workbench.engines.asr.transcript import Recognizer, Transcript
from workbench.errors import InputError, ModelError
from workbench.hardware.fingerprint import fingerprint, label
from workbench.measure import findings
from workbench.measure.statistics import (
    Interval,
    Ratio,
    bootstrap_interval,
    interleaved,
    paired_ratio,
)
from workbench.quality.wer import WerIncrease, word_error_increase, word_error_rate
from workbench.studies.asr.speech import SpokenText

BASELINE = "float32"  # faster-whisper as it comes: beam 5, 30 s of padding
QUICKEST = "int8, beam 1, trimmed window"
# What each way changes in the baseline; settings of ``load_recognizer``.
WAYS: Mapping[str, Mapping[str, Any]] = {
    BASELINE: {"compute_type": "float32"},
    "float16": {"compute_type": "float16"},  # GPUs
    "int8": {"compute_type": "int8"},
    "beam 1": {"compute_type": "float32", "beam_size": 1},
    "trimmed window": {"compute_type": "float32", "window": "trimmed"},
    QUICKEST: {"compute_type": "int8", "beam_size": 1, "window": "trimmed"},
    "transformers": {"implementation": "transformers"},
    "static cache": {"implementation": "static", "window": "full"},
    "static cache, trimmed window": {"implementation": "static", "window": "trimmed"},
    "static cache, compiled": {
        "implementation": "static",
        "window": "trimmed",
        "compile_mode": "default",
    },
}
DEFAULT_WAYS = tuple(name for name in WAYS if name not in ("float16", "static cache, compiled"))
_TOLD = 0.005  # a rise below is told as 0.00
WER_LIMIT = 0.02  # that a quicker way may cost: FERN's claim of int8


@dataclass(frozen=True)
class RecognizerComparison:
    """What each way heard: transcript i is of clip i modulo their number, in the same round.

    ``left_out`` says why a way didn't run.
    """

    clips: tuple[SpokenText, ...]
    transcripts: Mapping[str, Sequence[Transcript]]
    left_out: Mapping[str, str]
    machine: str

    @property
    def baseline(self) -> str:
        """The way that the others are compared with: the first."""
        return next(iter(self.transcripts))

    @property
    def others(self) -> list[str]:
        """All ways but the baseline."""
        return list(self.transcripts)[1:]

    @property
    def complete(self) -> bool:
        """Whether every way that ran heard every clip."""
        return {len(said) % len(self.clips) for said in self.transcripts.values()} == {0}

    @property
    def random(self) -> bool:
        """Whether words mean nothing here, because weights are random."""
        return any(said[0].weights == "random" for said in self.transcripts.values())

    @property
    def caption(self) -> str:
        """What heard what, and n."""
        first = self.transcripts[self.baseline][0]
        audio_s = mean(clip.audio.duration_s for clip in self.clips)
        rounds = len(self.transcripts[self.baseline]) // len(self.clips)
        weights = "random weights" if self.random else f"weights {first.weights[:12]}"
        return (
            f"{first.model} ({weights}) · {len(self.clips)} clips of {audio_s:.1f} s on average · "
            f"{self.machine} · n = {rounds} interleaved round{'' if rounds == 1 else 's'}"
        )

    def latency_ms(self, way: str) -> Interval:
        """Median latency over all clips."""
        return bootstrap_interval(self._times(way))

    def ratio(self, way: str) -> Ratio:
        """How many times as fast as the baseline, clip by clip."""
        return paired_ratio(self._times(self.baseline), self._times(way))

    def wer(self, way: str) -> Interval | None:
        """Word error rate with its interval over sentences; None with random weights."""
        if self.random:
            return None
        found = word_error_rate(self._texts, self._heard(way))
        return Interval(found.value, *found.interval, found.sentences)

    def rise(self, way: str) -> WerIncrease | None:
        """Word error rate less the baseline's, sentence by sentence."""
        if self.random:
            return None
        return word_error_increase(self._texts, self._heard(self.baseline), self._heard(way))

    @cached_property
    def best(self) -> str:
        """The quickest way that surely costs no more than ``WER_LIMIT`` of word errors."""
        rises = {way: self.rise(way) for way in self.others}
        allowed = [w for w, rise in rises.items() if rise is None or rise.interval[1] <= WER_LIMIT]
        return min(
            [self.baseline, *allowed], key=lambda way: self.latency_ms(way).value
        )  # fmt: skip

    @property
    def finding(self) -> str:
        """What the best way gains, and what it costs."""
        if self.best == self.baseline:
            quickest = min(self.transcripts, key=lambda way: self.latency_ms(way).value)
            if quickest == self.baseline:
                return f"No way is quicker than {self.baseline}"
            return f"Quicker than {self.baseline}, none is shown to keep its words"
        gain = findings.faster(self.ratio(self.best), self.baseline)
        rise = self.rise(self.best)
        cost = f", word errors {rise}" if rise else ""
        return f"{findings.capital(self.best)}: {gain}{cost}"

    @property
    def verdict(self) -> str:
        """What was learned, in words."""
        best, first = (self.latency_ms(way).value for way in (self.best, self.baseline))
        words = f"{self.finding}. {best:,.0f} ms"
        words += "" if self.best == self.baseline else f" instead of {first:,.0f} ms"
        words += " a clip."
        if self.random:
            return f"{words} With random weights the words are noise; the times hold."
        costly = [
            f"{way} ({rise})"
            for way in self.others
            if (rise := self.rise(way)) and rise.interval[0] > _TOLD
        ]
        if costly:
            words += f" Words suffer from {'; '.join(costly)}."
        baseline = self.wer(self.baseline)
        return f"{words} Word error rate of {self.baseline}: {baseline}."

    def points(self) -> dict[str, tuple[Interval, Interval]]:
        """Latency and word error rate of each way; empty with random weights."""
        found = {way: self.wer(way) for way in self.transcripts}
        return {way: (self.latency_ms(way), wer) for way, wer in found.items() if wer is not None}

    def rows(self) -> list[dict[str, Any]]:
        """One row a way."""
        rows = []
        for way, said in self.transcripts.items():
            rise = self.rise(way)
            row: dict[str, Any] = {
                "way": way,
                "compute type": said[0].compute_type,
                "latency (ms)": self.latency_ms(way),
                f"as fast as {self.baseline}": None if way == self.baseline else self.ratio(way),
            }
            if rise is not None:
                row["word error rate"] = self.wer(way)
                row["rise"] = None if way == self.baseline else str(rise)
            rows.append(row)
        return rows

    def samples(self) -> Iterator[tuple[str, list[float], str]]:
        """Raw samples for the record: name, values, unit."""
        for way in self.transcripts:
            yield f"latency/{way}", self._times(way), "ms"

    def details(self) -> dict[str, Any]:
        """What a record keeps beside the samples, to count words again: who heard what."""
        first = self.transcripts[self.baseline][0]
        return {
            "model": first.model,
            "weights": first.weights,
            "texts": self._texts,
            "heard": {way: self._heard(way) for way in self.transcripts},
            "left_out": dict(self.left_out),
        }

    def _times(self, way: str) -> list[float]:
        return [said.latency_ms for said in self.transcripts[way]]

    def _heard(self, way: str) -> list[str]:
        return [said.text for said in self.transcripts[way][: len(self.clips)]]

    @property
    def _texts(self) -> list[str]:
        return [clip.text for clip in self.clips]


def compare_recognizers(
    clips: Sequence[SpokenText],
    ways: Mapping[str, Mapping[str, Any]],
    *,
    rounds: int = 1,
    seed: int = 0,
    wrap: Callable[[Iterable[int]], Iterable[int]] = lambda trials: trials,
    **common: Any,
) -> RecognizerComparison:
    """Each of ``ways`` hears every clip in each round; the first is the baseline.

    A way's settings, and ``common`` ones below them, are ``load_recognizer``'s. A way that can't
    run here is left out, with the reason; the baseline must run. ``wrap`` sees the trials pass.

    Raises InputError for fewer than two clips.
    """
    if len(clips) < 2:
        raise InputError(f"{len(clips)} clips", "pass at least two: intervals are over clips")
    from workbench.models.whisper.window import RATE_HZ

    # A microphone gives this rate: resampling is no part of recognizing.
    clips = [SpokenText(clip.text, clip.audio.resampled(RATE_HZ)) for clip in clips]
    loaded: dict[str, Recognizer] = {}
    left_out: dict[str, str] = {}
    for way, settings in ways.items():
        try:
            loaded[way] = load_recognizer(**{**common, **settings})
        except (InputError, ModelError) as problem:
            if not loaded:
                raise
            left_out[way] = problem.what
            continue
        loaded[way].warm_up()
    arms = {way: partial(_next, recognizer, cycle(clips)) for way, recognizer in loaded.items()}
    found = interleaved(arms, rounds * len(clips), seed, wrap)
    return RecognizerComparison(tuple(clips), found, left_out, label(fingerprint()))


def chosen(names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """The ways called ``names``; InputError for an unknown one."""
    if unknown := [name for name in names if name not in WAYS]:
        raise InputError(f"no way called {unknown[0]!r}", f"use {'; '.join(WAYS)}")
    return {name: WAYS[name] for name in names}


def sizes(names: Sequence[str], **settings: Any) -> dict[str, Mapping[str, Any]]:
    """Models as ways, all with the same ``settings``."""
    return {name: {"name": name, **settings} for name in names}


def partial_rows(recognizer: Recognizer, audio: Audio, step_s: float = 0.5) -> list[dict[str, Any]]:
    """What is known of ``audio``'s words while it is still spoken, one row a step."""
    size = max(1, round(step_s * audio.rate_hz))
    pieces = (
        Audio(audio.samples[first : first + size], audio.rate_hz)
        for first in range(0, len(audio), size)
    )
    return [
        {
            "audio (s)": known.audio_s,
            "certain": known.confirmed,
            "guessed": known.tentative,
            "latency (ms)": known.latency_ms,
        }
        for known in partials(recognizer, pieces, step_s=step_s)
    ]


def _next(recognizer: Recognizer, clips: Iterator[SpokenText]) -> Transcript:
    return recognizer.transcribe(next(clips).audio)
