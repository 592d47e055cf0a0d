"""What a study of codec decoders found: times, verdicts, distances, in figures and words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.errors import InputError
from workbench.hardware.fingerprint import label
from workbench.measure import findings
from workbench.measure.codec_arm import TRANSFORMERS, first_metric, frame_metric
from workbench.measure.statistics import Interval, Ratio
from workbench.measure.study import CONTROL, Study
from workbench.measure.verdict import Judgement, Verdict


@dataclass(frozen=True)
class Exactness:
    """The distance from the sound in float64.

    ``max_difference`` is of samples; ``snr_db`` the energy of the sound against that of the
    difference (None: there is no difference).
    """

    max_difference: float
    snr_db: float | None

    def __str__(self) -> str:
        ratio = "no difference" if self.snr_db is None else f"SNR {self.snr_db:.0f} dB"
        return f"samples differ by at most {self.max_difference:.0e} ({ratio})"


@dataclass(frozen=True)
class CodecStudy:
    """What was measured with streams of each length in ``frames``.

    ``exact`` has each way's distance from transformers' offline decode in float64, ``left_out``
    the ways that can't run here, with the remedy.
    """

    study: Study
    codec: str
    frames: tuple[int, ...]
    exact: Mapping[str, Exactness]
    left_out: Mapping[str, str]

    @property
    def baseline(self) -> str:
        """The way that the others are compared with."""
        return self.study.baseline.arm.name

    @property
    def ways(self) -> list[str]:
        """The ways that ran, the baseline first."""
        return [
            name for name, one in self.study.results.items()
            if name != CONTROL and one.error is None and len(one.rounds) > 1
        ]  # fmt: skip

    @property
    def failed(self) -> dict[str, str]:
        """The ways that went wrong, and how."""
        results = self.study.results.items()
        return {name: one.error.message.splitlines()[0] for name, one in results if one.error}

    @property
    def longest(self) -> int:
        """Frames of the longest stream."""
        return self.frames[-1]

    def frame_ms(self, way: str, frames: int | None = None) -> Interval:
        """Median time of a frame in streams of ``frames`` (None: the longest)."""
        return self.study.result(way).interval(frame_metric(frames or self.longest))

    def first_ms(self, way: str, frames: int | None = None) -> Interval:
        """Median time until a stream's first sound is there."""
        return self.study.result(way).interval(first_metric(frames or self.longest))

    def judgement(self, way: str, frames: int | None = None) -> Judgement:
        """What may be said of ``way`` against the baseline, by the time of a frame."""
        return self.study.judgement(way, frame_metric(frames or self.longest))

    @property
    def best(self) -> str:
        """The way with the least time for a frame of the longest stream."""
        return min(self.ways, key=lambda way: self.frame_ms(way).value)

    @property
    def finding(self) -> str:
        """What the quickest way gains."""
        if self.study.failed or len(self.ways) < 2:
            return "No two ways of decoding could be compared"
        time = f"{_two_digits(self.frame_ms(self.best).value)} ms a frame"
        ratio = self._ratio(self.best)
        if ratio is None:
            others = [self.judgement(way).verdict for way in self.ways if way != self.best]
            if all(one == Verdict.SLOWER for one in others):
                return f"{findings.capital(self.best)} is the quickest: {time}"
            return f"Nothing was shown to be quicker than {self.best}: {time}"
        whole = "transformers' offline decode"
        gain = findings.faster(ratio, whole if self.baseline == TRANSFORMERS else self.baseline)
        return f"{findings.capital(self.best)}: {time}, {gain}"

    @property
    def exact_finding(self) -> str:
        """How far the way that is farthest from float64 is."""
        if not self.exact:
            return "no sound to compare"
        farthest = max(self.exact, key=lambda way: self.exact[way].max_difference)
        return f"of {farthest}, the farthest from float64, {self.exact[farthest]}"

    @property
    def verdict(self) -> str:
        """What was learned, in words."""
        words = f"{self.finding}. {findings.capital(self.exact_finding)}."
        if self.study.disturbed:
            words += f" The machine was not at rest ({'; '.join(self.study.disturbed)})."
        for name, why in self.failed.items():
            words += f" {findings.capital(name)} failed: {why}."
        for name, why in self.left_out.items():
            words += f" {findings.capital(name)} was left out: {why}."
        return words

    @property
    def caption(self) -> str:
        """Codec, machine, threads and n."""
        about = self.study.baseline.about
        threads = about.get("threads", 1)
        machine = label(dict(self.study.environment_before))
        rounds = len(self.study.baseline.rounds)
        return (
            f"{self.codec} (weights {str(about.get('weights', '?'))[:12]}) · {machine}, {threads} "
            f"thread{'' if threads == 1 else 's'} used · n = {rounds} interleaved rounds"
        )

    @property
    def curves(self) -> dict[str, dict[int, float]]:
        """Milliseconds a frame by the stream's frames, of each way."""
        return {
            way: {frames: self.frame_ms(way, frames).value for frames in self.frames}
            for way in self.ways
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row a way, of the longest stream."""
        return [
            {
                "way": way,
                "a frame (ms)": self.frame_ms(way),
                "first sound (ms)": self.first_ms(way),
                f"as fast as {self.baseline}": self._ratio(way),
                "verdict": "" if way == self.baseline else str(self.judgement(way).verdict),
                "distance from float64": str(self.exact[way]) if way in self.exact else "",
            }
            for way in self.ways
        ]

    def samples(self) -> Iterator[tuple[str, list[float], str]]:
        """Raw samples for the record: name, values, unit."""
        for way in self.ways:
            for frames in self.frames:
                values = list(self.study.result(way).of(frame_metric(frames)))
                yield f"{way}/{frames} frames", values, "ms"

    def to_dict(self) -> dict[str, Any]:
        """The result as the command line's last line has it."""
        about = self.study.baseline.about
        return {
            "codec": self.codec,
            "weights": about.get("weights"),
            "threads": about.get("threads"),
            "frames": self.longest,
            "trials": self.study.plan.trials,
            "baseline": self.baseline,
            "arms": [self._told(way, self.longest) | self._exact(way) for way in self.ways],
            "by_frames": {
                str(frames): [self._told(way, frames) for way in self.ways]
                for frames in self.frames
            },
            "left_out": dict(self.left_out),
            "failed": self.failed,
            "disturbed": list(self.study.disturbed),
            "verdict": self.verdict,
        }

    def _told(self, way: str, frames: int) -> dict[str, Any]:
        time, ratio = self.frame_ms(way, frames), self._ratio(way, frames)
        verdict = "BASELINE" if way == self.baseline else str(self.judgement(way, frames).verdict)
        return {
            "name": way,
            "frame_ms": time.value,
            "frame_ms_interval": [time.low, time.high],
            "first_ms": self.first_ms(way, frames).value,
            "ratio": ratio and ratio.value,
            "interval": ratio and [ratio.low, ratio.high],
            "verdict": verdict,
        }

    def _exact(self, way: str) -> dict[str, Any]:
        found = self.exact.get(way)
        return {
            "max_difference": found and found.max_difference,
            "snr_db": found and found.snr_db,
        }

    def _ratio(self, way: str, frames: int | None = None) -> Ratio | None:
        """As the samples have it; whether anything may be said, the verdict says."""
        if way == self.baseline:
            return None
        return self.study.undisturbed(way, frame_metric(frames or self.longest)).ratio


def exactness(sound: np.ndarray, truth: np.ndarray) -> Exactness:
    """How far ``sound`` ``[T]`` is from ``truth`` ``[T]`` float64; InputError for other lengths."""
    if sound.shape != truth.shape:
        raise InputError(f"{sound.shape} samples for {truth.shape}", "decode the same codes")
    difference = sound.astype(np.float64) - truth
    noise, energy = float(np.square(difference).sum()), float(np.square(truth).sum())
    snr_db = 10 * float(np.log10(energy / noise)) if noise and energy else None
    return Exactness(float(np.abs(difference).max()), snr_db)


def _two_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
