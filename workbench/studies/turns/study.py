"""Turn detectors compared on generated turns, for notebook 51 and ``workbench bench turns``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from workbench.audio import Audio
from workbench.engines.turns.detectors import (
    SILENCE_S,
    Policy,
    SemanticTurnDetector,
    SilenceTurnDetector,
    TurnDetector,
    TurnJudge,
)
from workbench.engines.turns.timeline import Timeline, timeline
from workbench.engines.turns.vad import load_vad, probabilities
from workbench.errors import InputError
from workbench.hardware.fingerprint import fingerprint, label
from workbench.measure.statistics import Interval, bootstrap_interval
from workbench.studies.turns.clips import TurnClip, held_out_texts, make_turns
from workbench.studies.turns.curves import (
    KINDS,
    Curve,
    Point,
    curve,
    cut_offs_left,
    operating_point,
    point,
    wait_ratio,
)
from workbench.studies.turns.outcomes import PauseSamples, Transcribe, collect

BUDGETS = (0.05, 0.1, 0.2)  # false cut-offs per hesitation
FIXED = Policy(1.0, SILENCE_S, SILENCE_S)  # FERN's wait
_TIMED_CLIPS = 5
_WORDS = {"vad": "silence alone", "semantic": "words alone", "both": "words and silence"}


@dataclass(frozen=True)
class TurnStudy:
    """Silences by voice-activity detector; the judge read along with the first one's.

    ``frame_ms`` is what a frame took, by detector. ``budgets`` are shares of false cut-offs.
    """

    samples: Mapping[str, PauseSamples]
    frame_ms: Mapping[str, tuple[float, ...]]
    budgets: tuple[float, ...]
    machine: str

    @property
    def first(self) -> PauseSamples:
        """The samples that the judge read along with."""
        return next(iter(self.samples.values()))

    @property
    def judged(self) -> bool:
        """Whether there was a judge."""
        return self.first.judge is not None

    @property
    def hesitations(self) -> int:
        """Silences of the first detector that were no ends."""
        return sum(not pause.final for pause in self.first.pauses)

    @property
    def caption(self) -> str:
        """What was heard by whom, and n."""
        judge = f" · judge {self.first.judge} on {self.first.words}" if self.judged else ""
        return (
            f"{self.first.detector} VAD{judge} · {self.first.turns} turns, {self.hesitations} "
            f"hesitations · {self.machine}"
        )

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """The Pareto frontiers, by what decides."""
        kinds = KINDS if self.judged else KINDS[:1]
        return {_WORDS[kind]: curve(self.first, kind) for kind in kinds}

    @cached_property
    def fixed(self) -> Point:
        """FERN's fixed wait of 0.7 s."""
        return point(self.first, FIXED)

    @cached_property
    def ratios(self) -> dict[float, Interval]:
        """Wait with words / wait without, at each budget that both can keep; empty: no judge."""
        found: dict[float, Interval] = {}
        for budget in self.budgets if self.judged else ():
            try:
                found[budget] = wait_ratio(self.first, budget)
            except InputError:
                continue  # no policy is that careful
        return found

    @cached_property
    def saved(self) -> Interval | None:
        """Share of FERN's false cut-offs that words avoid at the same mean latency."""
        if not self.judged or not self.fixed.false_cut_offs.value:
            return None
        left = cut_offs_left(self.first, FIXED)
        return Interval(1 - left.value, 1 - left.high, 1 - left.low, left.n, left.confidence)

    @property
    def finding(self) -> str:
        """What words are worth, or what silence costs."""
        if self.ratios:
            budget, ratio = min(self.ratios.items(), key=lambda one: abs(one[0] - 0.1))
            return (
                f"At {budget:.0%} false cut-offs, words and silence wait {ratio.value:.2f} times "
                f"as long as silence alone ({ratio.low:.2f}–{ratio.high:.2f})"
            )
        return (
            f"A fixed wait of {SILENCE_S:g} s cuts off {self.fixed.false_cut_offs.value:.0%} of "
            f"hesitations and answers {self.fixed.latency_s.value:.2f} s after the end"
        )

    @property
    def verdict(self) -> str:
        """What was learned, in words."""
        words = f"{self.finding}. "
        if self.ratios:
            words += (
                f"A fixed wait of {SILENCE_S:g} s cuts off {self.fixed.false_cut_offs.value:.0%} "
                "of hesitations"
            )
            if self.saved is not None and self.saved.low > 0:
                avoided = f"{self.saved.value:.0%} ({self.saved.low:.0%}–{self.saved.high:.0%})"
                words += f"; at its latency words avoid {avoided} of these"
            words += f". The judge takes {bootstrap_interval(self.judge_ms).value:.1f} ms. "
        slow = {name: bootstrap_interval(times).value for name, times in self.frame_ms.items()}
        words += "A frame takes " + " and ".join(
            f"{value:.2g} ms with {name}" for name, value in slow.items()
        )
        missed = len(self.first.missed)
        return words + (f". {missed} turns' ends were never found." if missed else ".")

    def detectors(self, judge: TurnJudge | None, budget: float = 0.1) -> dict[str, TurnDetector]:
        """A fixed wait, and with a ``judge`` the policy that is quickest within ``budget``."""
        found: dict[str, TurnDetector] = {f"{SILENCE_S:g} s of silence": SilenceTurnDetector()}
        both = self.curves.get(_WORDS["both"])
        best = both.best_at(budget) if both else None
        if judge is not None and best is not None:
            found[_WORDS["both"]] = SemanticTurnDetector(judge, best.policy)
        return found

    @property
    def judge_ms(self) -> list[float]:
        """What asking the judge took; empty without one."""
        return [pause.judge_ms for pause in self.first.pauses if pause.judge_ms is not None]

    def detector_rows(self) -> list[dict[str, Any]]:
        """One row a voice-activity detector: its cost, and a fixed wait on its silences."""
        rows = []
        for name, samples in self.samples.items():
            found = point(samples, FIXED)
            rows.append({
                "detector": name,
                "frame (ms of audio)": 1000 * samples.frame_s,
                "cost of a frame (ms)": bootstrap_interval(self.frame_ms[name]),
                "turns without an end": len(samples.missed),
                f"cut off at {SILENCE_S:g} s": found.turns_cut,
                "latency (s)": found.latency_s,
            })  # fmt: skip
        return rows

    def rows(self) -> list[dict[str, Any]]:
        """One row a budget: mean latency with silence alone and with words, on other turns."""
        rows = []
        for budget in self.budgets:
            row: dict[str, Any] = {"false cut-offs at most": f"{budget:.0%}"}
            for kind in KINDS if self.judged else KINDS[:1]:
                try:
                    found = operating_point(self.first, kind, false_cut_offs=budget)
                    row[f"{_WORDS[kind]} (s)"] = found.latency_s
                except InputError:
                    row[f"{_WORDS[kind]} (s)"] = None  # no policy is that careful
            if self.judged:
                row["words and silence / silence"] = self.ratios.get(budget)
            rows.append(row)
        return rows

    def samples_taken(self) -> Iterator[tuple[str, list[float], str]]:
        """Raw samples for the record: name, values, unit."""
        for name, times in self.frame_ms.items():
            yield f"frame/{name}", list(times), "ms"
        for final, kind in ((False, "hesitations"), (True, "ends")):
            mine = [pause for pause in self.first.pauses if pause.final is final]
            yield f"silence/{kind}", [pause.silence_s for pause in mine], "s"
            if self.judged:
                yield f"probability/{kind}", [pause.probability or 0.0 for pause in mine], ""
        if self.judged:
            yield "judge", self.judge_ms, "ms"


def spoken_turns(
    engine: Any,
    count: int,
    *,
    pauses: tuple[int, int] = (1, 3),
    voice: int = 0,
    seed: int = 0,
    wrap: Callable[[Iterable[str]], Iterable[str]] = lambda texts: texts,
) -> list[TurnClip]:
    """``count`` held-out sentences with hesitations, spoken by ``engine``.

    ``wrap`` sees the sentences pass, for a progress bar. Raises InputError for more sentences than
    there are.
    """
    texts = held_out_texts()
    if not 0 < count <= len(texts):
        raise InputError(f"{count} turns", f"use 1 to {len(texts)}")

    def speak(text: str) -> Audio:
        speech: Audio = engine.synthesize(text, voice=voice, seed=seed)
        return speech

    return make_turns(wrap(texts[:count]), speak, pauses=pauses, seed=seed)


def models_called(
    judge: str | None, recognizer: str | None = None, threads: int = 1
) -> tuple[TurnJudge | None, Transcribe | None, str]:
    """A judge by its chat model's name, what writes down its words, and what these are called."""
    from workbench.engines.asr.load import load_recognizer
    from workbench.engines.chat.load import load_judge

    found = None if judge is None else load_judge(judge, threads=threads)
    if recognizer is None:
        return found, None, "true words"
    whisper = load_recognizer(recognizer, threads=threads, window="trimmed")
    return found, lambda audio: whisper.transcribe(audio).text, f"words by {whisper.name}"


def heard_live(clip: TurnClip, vad: str, detectors: Mapping[str, TurnDetector]) -> Timeline:
    """``clip`` heard live, with its true words; its own silence is long enough for every end."""
    found = load_vad(vad)
    return timeline(clip.audio, found, detectors, lambda _, until_s: clip.said(until_s), tail_s=0.0)


def study_turns(
    turns: Sequence[TurnClip],
    vads: Sequence[str] = ("silero",),
    judge: TurnJudge | None = None,
    *,
    transcribe: Transcribe | None = None,
    words: str = "true words",
    budgets: Sequence[float] = BUDGETS,
    wrap: Callable[[Iterable[TurnClip]], Iterable[TurnClip]] = lambda turns: turns,
) -> TurnStudy:
    """Runs each of ``vads`` over the turns; ``judge`` reads along with the first.

    ``transcribe`` and ``words``: as in ``studies.turns.collect``. ``wrap`` sees the turns pass,
    for a progress bar.
    """
    if not vads:
        raise InputError("no voice-activity detector", "name at least one: silero, webrtc")
    samples: dict[str, PauseSamples] = {}
    frame_ms: dict[str, tuple[float, ...]] = {}
    for name in dict.fromkeys(vads):
        vad = load_vad(name)
        if samples:
            samples[name] = collect(turns, vad, wrap=wrap)
        else:
            samples[name] = collect(
                turns, vad, judge, transcribe=transcribe, words=words, wrap=wrap
            )
        timed = [probabilities(vad, clip.audio)[1] for clip in turns[:_TIMED_CLIPS]]
        frame_ms[name] = tuple(time for times in timed for time in times)
    return TurnStudy(samples, frame_ms, tuple(budgets), label(fingerprint()))
