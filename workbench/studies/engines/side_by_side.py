"""Engines side by side: one interleaved study, each engine in a process of its own.

result = compare_engines(["csm-nano", "piper:voices/en_GB-alan-medium.onnx"], trials=20)
result.rows()          # first audio, speed, memory, word errors
result.left_out        # engines that can't be loaded here, and the command that mends it
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.engines.guests import guest, status
from workbench.engines.guests.load import is_guest
from workbench.engines.speech import Speech
from workbench.errors import InputError
from workbench.hardware.fingerprint import label
from workbench.measure import findings
from workbench.measure.arm import Arm
from workbench.measure.plan import Plan
from workbench.measure.record import Failure
from workbench.measure.speech import SENTENCES, named
from workbench.measure.speech_arm import speech_arm
from workbench.measure.statistics import Interval, bootstrap_interval
from workbench.measure.study import CONTROL, Study
from workbench.measure.trials import run_study
from workbench.quality.wer import WordErrorRate, word_error_rate
from workbench.studies.sound.words import Transcripts

METRIC = "frame_ms"  # of 80 ms of sound, whatever an engine's own step is
_MIB = 1 << 20


@dataclass(frozen=True)
class EngineStudy:
    """What was measured and heard. ``clips`` are each engine's speeches of the first rounds, one
    of each text; ``words`` its word error rate, or why there is none. ``size`` is that of random
    weights: "full" or "small".
    """

    study: Study
    texts: tuple[str, ...]
    clips: Mapping[str, Sequence[Speech]]
    words: Mapping[str, WordErrorRate | str]
    left_out: Mapping[str, str] = field(default_factory=dict)
    size: str = "full"

    @property
    def names(self) -> list[str]:
        """The engines that spoke, in the order asked for."""
        return [
            name for name, one in self.study.results.items()
            if name != CONTROL and one.error is None and len(one.rounds) > 1
        ]  # fmt: skip

    @property
    def failed(self) -> dict[str, Failure]:
        """The engines that went wrong, and how."""
        return {name: one.error for name, one in self.study.results.items() if one.error}

    def interval(self, name: str, metric: str) -> Interval:
        """Median of an engine's ``metric`` with its interval."""
        return bootstrap_interval(self.samples_of(name, metric))

    def samples_of(self, name: str, metric: str) -> list[float]:
        """Raw samples of ``metric``; ``chars_per_s`` is characters of text a second of work."""
        result = self.study.result(name)
        if metric != "chars_per_s":
            return list(result.of(metric))
        times_ms = result.of("generation_ms")
        return [
            1000 * len(self.texts[number % len(self.texts)]) / time_ms
            for number, time_ms in zip(result.rounds, times_ms, strict=True)
        ]

    def rows(self) -> list[dict[str, Any]]:
        """One row an engine: its figures."""
        return [self._row(name) for name in self.names]

    def _row(self, name: str) -> dict[str, Any]:
        words = self.words.get(name, "not heard")
        return {
            "engine": name,
            "first audio (ms)": self.interval(name, "ttfa_ms"),
            "real-time factor": self.interval(name, "rtf"),
            "characters/s": self.interval(name, "chars_per_s"),
            "peak memory (MiB)": max(self.study.result(name).of("peak_rss_bytes")) / _MIB,
            "word error rate": words if isinstance(words, str) else f"{words.value:.2f}",
        }

    def what_ran(self) -> list[dict[str, Any]]:
        """One row an engine: its implementation, its weights, and what happens only once."""
        rows = []
        for name in self.names:
            result = self.study.result(name)
            rows.append({
                "engine": name,
                "implementation": result.about["implementation"],
                "weights": str(result.about["weights"])[:12],
                "type": result.about.get("dtype", ""),
                "loading (s)": result.starts[0].load_s,
                "warming up (s)": result.starts[0].warm_up_s,
                "largest gap (ms)": self.interval(name, "largest_gap_ms"),
            })  # fmt: skip
        return rows

    def versions(self, name: str) -> dict[str, str]:
        """Versions of a guest's packages, as its process found them; none for our own engines."""
        return dict(self.study.result(name).about.get("options", {}).get("versions", {}))

    def intervals(self, metric: str) -> dict[str, Interval]:
        """Each engine's interval of ``metric``, for a plot."""
        return {name: self.interval(name, metric) for name in self.names}

    @property
    def caption(self) -> str:
        """Machine, threads and weights, for plots."""
        threads = {str(self.study.result(name).about.get("threads", "?")) for name in self.names}
        parts = [
            label(dict(self.study.environment_before)),
            f"threads: {', '.join(sorted(threads))}",
        ]
        random = [name for name in self.names if self._random(name)]
        if random:
            parts.append(f"random weights: {', '.join(random)}")
        return " · ".join(parts)

    @property
    def finding(self) -> str:
        """Which engine is heard first, and by how much."""
        return self._best("ttfa_ms", "is heard first", "ms to first audio")

    @property
    def speed_finding(self) -> str:
        """Which engine takes the least time for a second of sound."""
        return self._best("rtf", "is the fastest", "s of work for 1 s of sound")

    def _best(self, metric: str, words: str, unit: str) -> str:
        found = self.intervals(metric)
        if not found:
            return "No engine spoke"
        best = min(found, key=lambda name: found[name].value)
        value = f"{_said(found[best].value)} {unit}"
        if len(found) == 1:
            return f"{best}: {value}"
        second = min((name for name in found if name != best), key=lambda name: found[name].value)
        told = found[best].high < found[second].low
        if not told:
            return f"{best} and {second} can't be told apart: {value}"
        return f"{best} {words}: {value}, {second} {_said(found[second].value)}"

    @property
    def labels(self) -> dict[str, Speech]:
        """A clip of each engine with what differs, for players."""
        return {
            f"{name}: first audio {clips[0].ttfa_ms:,.0f} ms, RTF {_factor(clips[0].rtf)}": clips[0]
            for name in self.names
            if (clips := self.clips.get(name))
        }

    @property
    def verdict(self) -> str:
        """What was learned, in words."""
        parts = [f"{self.finding}. {self.speed_finding}."]
        if self.study.disturbed:
            parts.append(f"The machine was not at rest ({'; '.join(self.study.disturbed)}).")
        random = [name for name in self.names if self._random(name)]
        if random:
            what = "their times say nothing" if self.size == "small" else "their times hold"
            sizes = "Small networks of random weights" if self.size == "small" else "Random weights"
            parts.append(f"{sizes}, so noise: {', '.join(random)}; {what}.")
        for name, error in self.failed.items():
            parts.append(f"{name} failed: {error.message.splitlines()[0]}.")
        if self.left_out:
            parts.append(f"Not installed here: {', '.join(self.left_out)}.")
        return " ".join(parts)

    def samples(self) -> Iterator[tuple[str, list[float], str]]:
        """Raw samples for the record: name, values, unit."""
        units = {"ttfa_ms": "ms", "generation_ms": "ms", METRIC: "ms", "rtf": "",
                 "peak_rss_bytes": "bytes"}  # fmt: skip
        for name in self.names:
            for metric, unit in units.items():
                yield f"{name}/{metric}", self.samples_of(name, metric), unit

    def _random(self, name: str) -> bool:
        return bool(self.study.result(name).about.get("weights") == "random")


def compare_engines(
    engines: Sequence[str],
    sentences: Sequence[str] = tuple(SENTENCES),
    *,
    trials: int = 20,
    starts: int | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    guest_weights: str = "auto",
    size: str = "full",
    max_frames: int | None = None,
    threads: int | None = None,
    seed: int = 0,
    transcripts: Transcripts | None = None,
    progress: Callable[[str], None] = lambda words: None,
) -> EngineStudy:
    """Lets ``engines`` speak the same ``sentences`` in turn; the first is the study's baseline.

    Guests that aren't installed are left out, with the command that installs them. ``settings``
    are an engine's own, by its name without checkpoint; ``guest_weights`` and ``size`` hold for
    all guests. Raises InputError where none of them can be loaded.
    """
    chosen = named(sentences)
    texts = tuple(chosen.values())
    arms: list[Arm] = []
    left_out: dict[str, str] = {}
    for name in dict.fromkeys(engines):
        found = status(name.partition(":")[0]) if is_guest(name) else None
        if found is not None and not found.ready:
            left_out[name] = f"{found.detail}: {found.remedy}"
            continue
        load = dict((settings or {}).get(name.partition(":")[0], {}))
        python, shown = None, name
        if found is not None:
            load |= {"weights": guest_weights, "size": size}
            python = str(found.python)
            if guest_weights == "random":  # nothing of the checkpoint is there
                shown = found.name
        more = {"load": load, "threads": threads, "max_frames": max_frames}
        arms.append(speech_arm(shown, shown, texts, python=python, **more))
    if not arms:
        words = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise InputError(f"none of these engines can be loaded ({words})", "install one of them")
    clips: dict[str, list[Speech]] = {}

    def keep(arm: str, _: int, speech: Speech) -> None:
        clips.setdefault(arm, []).append(speech)

    study = run_study(
        "engines",
        arms[0],
        arms[1:],
        metric=METRIC,
        plan=Plan(trials=trials, starts=starts, seed=seed),
        progress=progress,
        keep=keep,
        kept=range(len(texts)),
    )
    clips.pop(CONTROL, None)
    heard = transcripts or Transcripts()
    rates = {name: _words(spoken, heard) for name, spoken in clips.items()}
    return EngineStudy(study, texts, clips, rates, left_out, size)


def installation_rows(names: Sequence[str]) -> list[dict[str, Any]]:
    """What is installed of the guests among ``names``, for a table."""
    rows = []
    for name in dict.fromkeys(one.partition(":")[0] for one in names if is_guest(one)):
        found = status(name)
        rows.append({
            "engine": name,
            "what": guest(name).summary,
            "here": found.detail,
            "to install": found.remedy or None,
        })  # fmt: skip
    return rows


def _factor(value: float) -> str:
    return f"{value:.2f}" if value >= 0.01 else f"{value:.2g}"


def _said(value: float) -> str:
    """A figure with two digits, however small."""
    return findings.rounded(value) if value >= 0.1 else f"{value:.2g}"


def _words(clips: Sequence[Speech], transcripts: Transcripts) -> WordErrorRate | str:
    """The rate of these clips, or why it would mean nothing."""
    if any(clip.weights == "random" for clip in clips):
        return "noise"
    unknown = sorted(
        {word for clip in clips for word in transcripts.recognizer.unknown_words(clip.text)}
    )
    if unknown:
        return f"unknown word {unknown[0]}"
    return word_error_rate([clip.text for clip in clips], transcripts.of(clips))
