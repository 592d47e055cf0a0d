"""Synthesizers under the clock: four sentences, arms in turn, figures by arm and sentence.

trials = compare({"true": streamed(engine), "pseudo": streamed(engine, "pseudo")}, trials=10)
trials.ratio("pseudo", "true", ttfa_ms)      # how many times sooner, with its interval
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tqdm.auto import tqdm

from workbench.engines.speech import Speech, Streaming, Synthesizer
from workbench.errors import InputError
from workbench.measure.playback import audible_onset_ms, needed_prebuffer_ms, played
from workbench.measure.statistics import (
    Interval,
    Ratio,
    bootstrap_interval,
    interleaved,
    paired_ratio,
)

# Words of the nano voice's domain (data/nano/grammar.txt), which larger voices speak as well.
SENTENCES: Mapping[str, str] = {
    "short": "good morning sarah",
    "medium": "could you show me the way to the museum",
    "long": "the train to paris leaves at half past seven, please wait for me at the station",
    "very long": "hello martin how are you, it was very windy in dublin last week, my sister "
    "bought a red umbrella yesterday, the meeting is on friday at quarter past nine, "
    "don't forget to buy bread and cheese, goodbye and have a nice evening",
}

Arm = Callable[[str], Speech]
Figure = Callable[[Speech], float]


def named(sentences: Iterable[str]) -> dict[str, str]:
    """The ``SENTENCES`` called so; InputError for a name that is none of theirs."""
    chosen = list(dict.fromkeys(sentences))
    unknown = [name for name in chosen if name not in SENTENCES]
    if unknown or not chosen:
        raise InputError(
            f"no sentence called {', '.join(map(repr, unknown))}" if unknown else "no sentences",
            f"choose from {', '.join(SENTENCES)}",
        )
    return {name: SENTENCES[name] for name in chosen}


def whole(engine: Synthesizer, **options: Any) -> Arm:
    """An arm that has a text spoken and waits for all of it."""
    return lambda text: engine.synthesize(text, **options)


def streamed(engine: Synthesizer, streaming: Streaming = "true", **options: Any) -> Arm:
    """An arm that has a text streamed and takes every chunk as it comes."""

    def arm(text: str) -> Speech:
        stream = engine.stream(text, streaming=streaming, **options)
        for _ in stream:
            pass
        return stream.speech

    return arm


@dataclass(frozen=True)
class Trials:
    """``speeches[arm][sentence]`` has one speech a round; those of one round make a pair."""

    speeches: Mapping[str, Mapping[str, Sequence[Speech]]]

    @property
    def rounds(self) -> int:
        """How often each arm spoke each sentence."""
        return len(next(iter(next(iter(self.speeches.values())).values())))

    @property
    def sentences(self) -> tuple[str, ...]:
        """Names of the sentences."""
        return tuple(next(iter(self.speeches.values())))

    @property
    def middle(self) -> str:
        """A sentence of medium length, to look at and listen to."""
        return self.sentences[len(self.sentences) // 2]

    def clip(self, arm: str, sentence: str) -> Speech:
        """What the arm said in the first round."""
        return self.speeches[arm][sentence][0]

    def samples(self, arm: str, figure: Figure, sentence: str | None = None) -> list[float]:
        """``figure`` of each round; without a sentence the mean over all of them."""
        chosen = self.sentences if sentence is None else (sentence,)
        rounds = zip(*(self.speeches[arm][name] for name in chosen), strict=True)
        return [sum(map(figure, speeches)) / len(speeches) for speeches in rounds]

    def interval(self, arm: str, figure: Figure, sentence: str | None = None) -> Interval:
        """Median of ``samples`` with its bootstrap interval."""
        return bootstrap_interval(self.samples(arm, figure, sentence))

    def ratio(
        self, baseline: str, other: str, figure: Figure, sentence: str | None = None
    ) -> Ratio:
        """How many times less ``other`` takes than ``baseline``, paired by round."""
        return paired_ratio(
            self.samples(baseline, figure, sentence), self.samples(other, figure, sentence)
        )

    def raw(self, figure: Figure) -> dict[str, list[float]]:
        """Raw samples of ``figure`` for the record, by ``arm/sentence``."""
        return {
            f"{arm}/{name}": self.samples(arm, figure, name)
            for arm in self.speeches
            for name in self.sentences
        }

    def ended_share(self, arm: str) -> float:
        """Share of the arm's speeches that ended by themselves, not at the frame limit."""
        ended = [s.ended == "eos" for said in self.speeches[arm].values() for s in said]
        return sum(ended) / len(ended)


def compare(
    arms: Mapping[str, Arm],
    sentences: Mapping[str, str] = SENTENCES,
    trials: int = 5,
    seed: int = 0,
) -> Trials:
    """Each arm speaks each sentence once a round, in a new random order; shows its progress.

    Arms should be warm: call ``engine.warm_up()`` first, and report what that took on its own.
    Raises InputError for fewer than two trials, from which no interval can be had.
    """
    if trials < 2:
        raise InputError(f"{trials} trials", "an interval needs at least 2")
    calls = {
        (arm, name): partial(call, text)
        for arm, call in arms.items()
        for name, text in sentences.items()
    }
    results = interleaved(calls, trials, seed, wrap=partial(tqdm, desc="rounds", unit="round"))
    return Trials({arm: {name: results[arm, name] for name in sentences} for arm in arms})


def speak_once(
    arms: Mapping[str, Arm], sentences: Mapping[str, str] = SENTENCES
) -> dict[str, Speech]:
    """Each sentence by each arm once, as ``"sentence, arm"``: for stages and listening."""
    return {
        f"{name}, {arm}": call(text)
        for name, text in sentences.items()
        for arm, call in arms.items()
    }


# -- Figures of one speech ---------------------------------------------------------------------


def frame_ms(speech: Speech) -> float:
    """Generation time for each frame of sound: comparable where lengths differ."""
    return speech.generation_ms / max(speech.frames, 1)


def ttfa_ms(speech: Speech) -> float:
    """Time to first audio."""
    return speech.ttfa_ms


def onset_ms(speech: Speech) -> float:
    """When a listener first hears something; for a silent speech the end of it."""
    onset = audible_onset_ms(speech)
    return played(speech).end_ms if onset is None else onset


def largest_gap_ms(speech: Speech) -> float:
    """Longest wait from one chunk to the next; 0 for a single chunk."""
    return max(played(speech).gaps_ms, default=0.0)


def prebuffer_ms(speech: Speech) -> float:
    """How long a player must wait after the first chunk so as never to run dry."""
    return needed_prebuffer_ms(speech.chunks_ms, speech.chunks_samples, speech.rate_hz)


def generation_ms(speech: Speech) -> float:
    """Request to the last sample on the host."""
    return speech.generation_ms
