"""What fine-tuning did to the word error rate: on the new domain, and on the old one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from workbench.audio import Audio
from workbench.engines.asr.load import load_recognizer
from workbench.finetune.recordings import Recording
from workbench.measure.statistics import Interval
from workbench.quality.wer import (
    WerIncrease,
    WordErrorRate,
    word_error_increase,
    word_error_rate,
)

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class Condition:
    """One set of recordings, what was said in it and what was heard before and after."""

    texts: tuple[str, ...]
    heard: Mapping[str, tuple[str, ...]]

    def rate(self, when: str) -> WordErrorRate:
        """The word error rate ``before`` or ``after``."""
        return word_error_rate(self.texts, self.heard[when])

    @property
    def increase(self) -> WerIncrease:
        """By how much it rose, sentence by sentence; negative where it fell."""
        return word_error_increase(self.texts, self.heard[BEFORE], self.heard[AFTER])

    @property
    def relative(self) -> float:
        """Share of the errors that went: 0.3 is 30 % fewer; 0 where there were none before."""
        before = self.rate(BEFORE).value
        return (before - self.rate(AFTER).value) / before if before else 0.0


@dataclass(frozen=True)
class WhisperResult:
    """Conditions by name; the first is the domain that was trained on."""

    conditions: Mapping[str, Condition]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each condition."""
        return [
            {
                "recordings": name,
                "sentences": len(one.texts),
                **{when: _rate(one.rate(when)) for when in (BEFORE, AFTER)},
                "change": str(one.increase),
            }
            for name, one in self.conditions.items()
        ]

    @property
    def intervals(self) -> dict[str, dict[str, Interval]]:
        """Word error rates before and after, by condition."""
        return {
            name: {when: _interval(one.rate(when)) for when in (BEFORE, AFTER)}
            for name, one in self.conditions.items()
        }

    def examples(self, count: int) -> list[dict[str, str]]:
        """The first sentences of the new domain: what was said, and what was heard."""
        one = next(iter(self.conditions.values()))
        heard = (one.heard[BEFORE], one.heard[AFTER])
        return [
            {"said": text, BEFORE: before.strip(), AFTER: after.strip()}
            for text, before, after in list(zip(one.texts, *heard, strict=True))[:count]
        ]

    @property
    def better(self) -> bool:
        """Whether the new domain is heard better, beyond chance."""
        return next(iter(self.conditions.values())).increase.interval[1] < 0

    @property
    def finding(self) -> str:
        """The result in a sentence."""
        words = [
            f"{name}: word error rate {one.rate(BEFORE).value:.3f} to {one.rate(AFTER).value:.3f}"
            for name, one in self.conditions.items()
        ]
        return "; ".join(words)


def evaluate_whisper(
    before: str,
    after: Path | str,
    conditions: Mapping[str, Sequence[Recording]],
    *,
    device: str | None = None,
    threads: int | None = None,
    **settings: Any,
) -> WhisperResult:
    """Transcribes every condition's recordings with ``before`` and ``after`` and compares.

    ``settings`` are ``load_recognizer``'s, so that both are heard as users would run them.
    """
    recognizers = {
        when: load_recognizer(str(name), device=device, threads=threads, **settings)
        for when, name in ((BEFORE, before), (AFTER, after))
    }
    made = {}
    for name, recordings in conditions.items():
        sounds = [Audio.read(one.path) for one in recordings]
        heard = {
            when: tuple(
                recognizer.transcribe(sound).text
                for sound in tqdm(sounds, desc=f"{name}, {when}", leave=False)
            )
            for when, recognizer in recognizers.items()
        }
        made[name] = Condition(tuple(one.text for one in recordings), heard)
    return WhisperResult(made)


def _interval(rate: WordErrorRate) -> Interval:
    return Interval(rate.value, *rate.interval, rate.sentences)


def _rate(rate: WordErrorRate) -> str:
    return f"{rate.value:.3f} ({rate.interval[0]:.3f}–{rate.interval[1]:.3f})"
