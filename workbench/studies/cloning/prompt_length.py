"""How long a prompt: what each second of it does to likeness, and to the time to first audio.

The prompt grows clip by clip. It costs twice: the codec must encode it, unless its codes are kept,
and the backbone must read it. So each length is timed with and without kept codes, in interleaved
rounds; a round has one seed, so that lengths differ by the prompt only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tqdm.auto import tqdm

from workbench.engines.speech import Reference, Speech
from workbench.errors import InputError
from workbench.measure import findings
from workbench.measure.statistics import (
    Interval,
    Ratio,
    bootstrap_interval,
    interleaved,
    paired_ratio,
)
from workbench.quality.speaker import SpeakerEncoder
from workbench.studies.cloning.study import likeness_to
from workbench.studies.cloning.targets import Target

ENCODED, KEPT = "encoded at each request", "codes kept"


@dataclass(frozen=True)
class PromptLengths:
    """Speeches by kind of prompt and its number of clips (0: no prompt), and their likeness.

    ``similarity`` has, for each number of clips, the likeness of each round's clone to its target;
    rounds without speech are left out.
    """

    target: str
    prompts_s: tuple[float, ...]
    speeches: dict[tuple[str, int], list[Speech]]
    similarity: dict[int, list[float]]
    machine: str

    @property
    def first_audio_ms(self) -> dict[str, dict[float, Interval]]:
        """Median time to first audio by kind and seconds of prompt."""
        return {
            kind: {
                seconds: bootstrap_interval(self.times_ms(kind, count))
                for count, seconds in enumerate(self.prompts_s)
            }
            for kind in (ENCODED, KEPT)
        }

    @property
    def likeness(self) -> dict[str, dict[float, Interval]]:
        """Median likeness to the target by seconds of prompt."""
        return {
            "likeness": {
                seconds: bootstrap_interval(self.similarity[count])
                for count, seconds in enumerate(self.prompts_s)
                if len(self.similarity[count]) > 1
            }
        }

    def times_ms(self, kind: str, count: int) -> list[float]:
        """Times to first audio in the order of rounds."""
        return [speech.ttfa_ms for speech in self.speeches[kind, count]]

    @property
    def saved(self) -> Ratio:
        """How many times sooner the longest prompt's first audio comes with kept codes."""
        longest = len(self.prompts_s) - 1
        return paired_ratio(self.times_ms(ENCODED, longest), self.times_ms(KEPT, longest))

    @property
    def caption(self) -> str:
        """Engine, machine, voice and n."""
        rounds = len(self.speeches[KEPT, 0])
        return f"{self.machine} · voice {self.target} · n = {rounds} interleaved rounds"

    @property
    def time_finding(self) -> str:
        """What keeping codes is worth."""
        return (
            f"A prompt of {self.prompts_s[-1]:.0f} s: with its codes kept, first audio "
            f"{findings.sooner(self.saved)}"
        )

    @property
    def likeness_finding(self) -> str:
        """Whether more prompt is more likeness."""
        curve = list(self.likeness["likeness"].values())
        if len(curve) < 2:
            return "Too few clones to say what a longer prompt does"
        first, last = curve[0], curve[-1]
        numbers = f"({first.value:.2f} without, {last.value:.2f} with {self.prompts_s[-1]:.0f} s)"
        numbers = numbers.replace("-", "−")
        if last.low > first.high:
            return f"A longer prompt sounds more like the voice {numbers}"
        return f"A longer prompt sounds no more like the voice {numbers}"

    def samples(self) -> Iterator[tuple[str, list[float], str]]:
        """Raw samples for the record: name, values, unit."""
        for count, seconds in enumerate(self.prompts_s):
            for kind in (ENCODED, KEPT):
                yield f"first audio/{kind}/{seconds:.1f} s", self.times_ms(kind, count), "ms"
            if self.similarity[count]:
                yield f"likeness/{seconds:.1f} s", self.similarity[count], "cosine"


def prompt_lengths(
    engine: Any,
    encoder: SpeakerEncoder,
    target: Target,
    text: str,
    *,
    clips: int | None = None,
    trials: int = 5,
    seed: int = 0,
) -> PromptLengths:
    """Speaks ``text`` after none, one, two, … ``clips`` (all) of the target's, ``trials`` rounds.

    Raises InputError for fewer than two rounds, or an engine that can't stream.
    """
    if trials < 2:
        raise InputError(f"{trials} trials", "an interval needs at least 2")
    plain = target.prompts[:clips]
    kept = [engine.encoded(prompt) for prompt in plain]
    counts = range(len(plain) + 1)
    engine.warm_up()
    arms: dict[tuple[str, int], Callable[[], Speech]] = {
        (kind, count): _arm(engine, text, target.voice, prompts[:count], seed)
        for kind, prompts in ((ENCODED, plain), (KEPT, kept))
        for count in counts
    }
    wrap: Callable[[Iterable[int]], Iterable[int]] = partial(tqdm, desc="rounds", unit="round")
    speeches = interleaved(arms, trials, seed, wrap)
    alike = {
        count: [
            found
            for speech in speeches[KEPT, count]
            if (found := likeness_to(encoder, speech, target)) is not None
        ]
        for count in counts
    }
    seconds = [0.0]
    for prompt in plain:
        seconds.append(seconds[-1] + prompt.audio.duration_s)
    return PromptLengths(target.name, tuple(seconds), speeches, alike, findings.caption(engine))


def _arm(
    engine: Any, text: str, voice: int, context: Sequence[Reference], seed: int
) -> Callable[[], Speech]:
    rounds = iter(range(seed, seed + 1_000_000))

    def speak() -> Speech:
        stream = engine.stream(text, voice=voice, context=context, seed=next(rounds))
        for _ in stream:
            pass
        speech: Speech = stream.speech
        return speech

    return speak
