"""Pseudo against true streaming: the measurement of notebook 30."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from workbench.engines.speech import Speech
from workbench.measure import findings
from workbench.measure.playback import Playback, audible_onset_ms, played
from workbench.measure.speech import (
    Trials,
    compare,
    generation_ms,
    largest_gap_ms,
    named,
    onset_ms,
    prebuffer_ms,
    streamed,
    ttfa_ms,
)
from workbench.measure.statistics import Ratio
from workbench.quality.agreement import max_difference

PSEUDO, TRUE = "pseudo-streaming", "true streaming"


@dataclass(frozen=True)
class StreamingComparison:
    """Trials of both kinds of streaming with the same engine, texts and seed."""

    trials: Trials
    warm_up_s: float
    machine: str

    @property
    def caption(self) -> str:
        """Engine, machine and n."""
        return f"{self.machine} · n = {self.trials.rounds} interleaved rounds"

    @property
    def waterfall_caption(self) -> str:
        """Engine, machine, and what is shown."""
        return f"{self.machine} · the {self.trials.middle} sentence, in the round of median gain"

    @property
    def clips(self) -> dict[str, Speech]:
        """One sentence by both in a typical round, to look at and listen to."""
        said = {arm: self.trials.speeches[arm][self.trials.middle] for arm in (PSEUDO, TRUE)}
        gains = [a.ttfa_ms / b.ttfa_ms for a, b in zip(said[PSEUDO], said[TRUE], strict=True)]
        typical = sorted(range(len(gains)), key=lambda i: gains[i])[(len(gains) - 1) // 2]
        return {arm: speeches[typical] for arm, speeches in said.items()}

    @property
    def playbacks(self) -> dict[str, Playback]:
        """How a player without prebuffer plays ``clips``."""
        return {arm: played(clip) for arm, clip in self.clips.items()}

    @property
    def onsets_ms(self) -> dict[str, float | None]:
        """When a listener to ``clips`` first hears something; None for silence."""
        return {arm: audible_onset_ms(clip) for arm, clip in self.clips.items()}

    @property
    def labels(self) -> dict[str, Speech]:
        """``clips`` by what differs between them, for players."""
        return {
            f"{arm}: first audio after {clip.ttfa_ms:,.0f} ms": clip
            for arm, clip in self.clips.items()
        }

    @property
    def first_audio_ms(self) -> dict[str, list[float]]:
        """Times to first audio of every sentence and round."""
        return {
            arm: [ttfa_ms(speech) for said in sentences.values() for speech in said]
            for arm, sentences in self.trials.speeches.items()
        }

    @property
    def ratios(self) -> dict[str, Ratio]:
        """How many times sooner true streaming's first audio comes, by sentence."""
        return {
            name: self.trials.ratio(PSEUDO, TRUE, ttfa_ms, name) for name in self.trials.sentences
        }

    @property
    def finding(self) -> str:
        """How much sooner the first audio comes, over all sentences."""
        ratio = self.trials.ratio(PSEUDO, TRUE, ttfa_ms)
        return f"{findings.capital(TRUE)}: first audio {findings.sooner(ratio)}"

    @property
    def sentence_finding(self) -> str:
        """Between which sentences the gain ranges."""
        ratios = {name: ratio.value for name, ratio in self.ratios.items()}
        least, most = (choose(ratios, key=lambda name: ratios[name]) for choose in (min, max))
        words = f"First audio {findings.rounded(ratios[least])}× sooner for the {least} sentence"
        more = f", {findings.rounded(ratios[most])}× for the {most} one"
        return words if least == most else words + more

    @property
    def audible(self) -> bool:
        """Whether both kinds of streaming gave sound above silence."""
        return all(onset is not None for onset in self.onsets_ms.values())

    @property
    def difference(self) -> float:
        """Largest absolute difference of both kinds' samples, over all sentences."""
        return max(
            max_difference(self.trials.clip(PSEUDO, name), self.trials.clip(TRUE, name))
            for name in self.trials.sentences
        )

    @property
    def same(self) -> bool:
        """Whether nobody can hear a difference."""
        return self.difference <= findings.HEARD_DIFFERENCE

    @property
    def player_finding(self) -> str:
        """Whether a player of the true stream runs dry, and what prebuffer prevents it."""
        said = [speech for group in self.trials.speeches[TRUE].values() for speech in group]
        dry = sum(played(speech).underruns for speech in said)
        if not dry:
            return f"a player never runs dry in {len(said)} speeches"
        wait_ms = max(map(prebuffer_ms, said))
        return (
            f"a player without prebuffer runs dry {dry:,} times in {len(said)} speeches, "
            f"and never with {wait_ms:,.0f} ms of it"
        )

    @property
    def verdict(self) -> str:
        """What was learned, in words."""
        first, second = (self.trials.interval(arm, ttfa_ms).value for arm in (PSEUDO, TRUE))
        heard = self.trials.interval(TRUE, onset_ms).value
        clip = self.trials.clip(TRUE, self.trials.sentences[0])
        return (
            f"{self.finding}: {second:,.0f} ms instead of {first:,.0f} ms after the request, "
            f"audible after {heard:,.0f} ms. With {TRUE} {self.player_finding}; "
            f"{findings.sameness(self.difference)}.{findings.noise_warning(clip)}"
        )

    def rows(self) -> list[dict[str, Any]]:
        """One row a sentence and arm: when sound comes, and whether it comes without a break."""
        rows = []
        for name in self.trials.sentences:
            for arm in (PSEUDO, TRUE):
                said = self.trials.speeches[arm][name]
                rows.append({
                    "sentence": name,
                    "streaming": "true" if arm == TRUE else "pseudo",
                    "first audio (ms)": self.trials.interval(arm, ttfa_ms, name),
                    "audible (ms)": self.trials.interval(arm, onset_ms, name),
                    "largest gap (ms)": self.trials.interval(arm, largest_gap_ms, name),
                    "underruns": sum(played(speech).underruns for speech in said),
                    "needed prebuffer (ms)": self.trials.interval(arm, prebuffer_ms, name),
                })  # fmt: skip
        return rows

    def samples(self) -> Iterator[tuple[str, list[float], str]]:
        """Raw samples for the record: name, values, unit."""
        figures = {
            "first audio": ttfa_ms,
            "audible": onset_ms,
            "largest gap": largest_gap_ms,
            "needed prebuffer": prebuffer_ms,
            "generation": generation_ms,
        }
        for figure, of in figures.items():
            for name, values in self.trials.raw(of).items():
                yield f"{figure}/{name}", values, "ms"
        yield "warm-up", [self.warm_up_s], "s"


def compare_streaming(
    engine: Any, sentences: Iterable[str], *, trials: int, voice: int = 0, seed: int = 0
) -> StreamingComparison:
    """Warms the engine up, then lets both kinds of streaming take turns."""
    chosen = named(sentences)
    warm_up_s = engine.warm_up()
    arms = {
        PSEUDO: streamed(engine, "pseudo", voice=voice, seed=seed),
        TRUE: streamed(engine, "true", voice=voice, seed=seed),
    }
    results = compare(arms, chosen, trials, seed)
    return StreamingComparison(results, warm_up_s, findings.caption(engine))
