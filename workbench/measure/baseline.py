"""What one has today, what ours takes, and where the time goes: the measurement of notebook 10."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.engines.speech import Speech
from workbench.measure import findings
from workbench.measure.speech import (
    Trials,
    compare,
    frame_ms,
    generation_ms,
    named,
    speak_once,
    whole,
)
from workbench.measure.statistics import Interval, bootstrap_interval
from workbench.quality.agreement import max_difference, token_agreement

TODAY, OURS = "generate", "frame step"


@dataclass(frozen=True)
class Baseline:
    """Trials of both implementations, and each sentence once more (``staged``) with its stages.

    ``frame_limit_ms`` is the least time a frame can take on this machine.
    """

    trials: Trials
    staged: Mapping[str, Speech]
    warm_up_s: Mapping[str, float]
    frame_limit_ms: float
    machine: str

    @property
    def caption(self) -> str:
        """Engine, machine and n, for plots of the trials."""
        return f"{self.machine} · medians of n = {self.trials.rounds} interleaved rounds"

    @property
    def stages_ms(self) -> dict[str, dict[str, float]]:
        """Stages of each ``"sentence, implementation"``: the shares seen with a clock in every
        stage, of the median time without.
        """
        found = {}
        for name in self.trials.sentences:
            for arm in (TODAY, OURS):
                timed = self.staged[f"{name}, {arm}"].stages_ms
                scale = self.trials.interval(arm, generation_ms, name).value / sum(timed.values())
                found[f"{name}, {arm}"] = {
                    words: scale * timed[stage]
                    for stage, words in findings.STAGE_WORDS.items()
                    if stage in timed
                }
        return found

    @property
    def limits_ms(self) -> dict[str, float]:
        """The roofline of each ``"sentence, implementation"``: its frames at their limit."""
        return {name: said.frames * self.frame_limit_ms for name, said in self.staged.items()}

    @property
    def stage_caption(self) -> str:
        """Engine, machine and n, for the plot of stages."""
        return f"{self.caption}; shares from one more run with a clock in every stage"

    @property
    def stage_finding(self) -> str:
        """Which stage takes the frame step's time, and how far the whole is from the roofline."""
        stages = self.stages_ms[f"{self.trials.sentences[-1]}, {OURS}"]
        times = self.trials.interval(OURS, frame_ms).value / self.frame_limit_ms
        return (
            f"{findings.largest_stage(stages)}; all together, {findings.rounded(times)} times "
            "the roofline"
        )

    @property
    def speed_finding(self) -> str:
        """How much faster the frame step is, and on which side of real time."""
        rtf = self.trials.interval(OURS, lambda speech: speech.rtf).value
        ratio = findings.faster(self.trials.ratio(TODAY, OURS, frame_ms), TODAY)
        side = "faster" if rtf < 1 else "slower"
        return f"{findings.capital(OURS)}: {ratio}, {side} than real time (RTF {rtf:.2f})"

    @property
    def verdict(self) -> str:
        """What was learned, in words."""
        rate = self.trials.interval(OURS, lambda speech: speech.chars_per_s).value
        characters = f"{findings.rounded(rate)} characters a second"
        agreements = [
            token_agreement(self.trials.clip(TODAY, n).codes, self.trials.clip(OURS, n).codes)
            for n in self.trials.sentences
        ]
        share = min(agreement.share for agreement in agreements)
        tokens = "the same tokens" if share == 1 else f"not all the same tokens (≥ {share:.0%})"
        noise = findings.noise_warning(self.trials.clip(OURS, self.trials.sentences[0]))
        return (
            f"{self.speed_finding}, {characters}. {self.stage_finding}. "
            f"Both say {tokens}; {findings.sameness(self.difference)}.{noise}"
        )

    @property
    def audible(self) -> bool:
        """Whether both implementations gave sound above silence."""
        return all(clip.audible_onset_s is not None for clip in self.clips.values())

    @property
    def difference(self) -> float:
        """Largest absolute difference of both implementations' samples."""
        return max(
            max_difference(self.trials.clip(TODAY, name), self.trials.clip(OURS, name))
            for name in self.trials.sentences
        )

    @property
    def frames(self) -> dict[str, dict[str, Interval]]:
        """Time for a frame, ms, by sentence and implementation."""
        return {
            name: {arm: self.trials.interval(arm, frame_ms, name) for arm in (TODAY, OURS)}
            for name in self.trials.sentences
        }

    @property
    def clips(self) -> dict[str, Speech]:
        """One sentence by both implementations, to listen to."""
        name = self.trials.middle
        return {f"{arm}, “{name}”": self.trials.clip(arm, name) for arm in (TODAY, OURS)}

    def speed_rows(self) -> list[dict[str, Any]]:
        """One row a sentence: how fast the frame step speaks it."""
        rows = []
        for name in self.trials.sentences:
            clip, said = self.trials.clip(OURS, name), self.trials.speeches[OURS][name]
            limit_ms = self.frame_limit_ms
            rows.append({
                "sentence": name,
                "text (characters)": len(clip.text),
                "sound (s)": clip.duration_s,
                "generation (ms)": self.trials.interval(OURS, generation_ms, name),
                "characters/s": bootstrap_interval([speech.chars_per_s for speech in said]),
                "RTF": bootstrap_interval([speech.rtf for speech in said]),
                "times the roofline": bootstrap_interval([frame_ms(s) / limit_ms for s in said]),
            })  # fmt: skip
        return rows

    def agreement_rows(self) -> list[dict[str, Any]]:
        """One row a sentence: do both say the same, and how much faster is the frame step."""
        rows = []
        for name in self.trials.sentences:
            first, second = self.trials.clip(TODAY, name), self.trials.clip(OURS, name)
            tokens = token_agreement(first.codes, second.codes)
            rows.append({
                "sentence": name,
                f"{TODAY} (ms/frame)": self.trials.interval(TODAY, frame_ms, name),
                f"{OURS} (ms/frame)": self.trials.interval(OURS, frame_ms, name),
                "times as fast": self.trials.ratio(TODAY, OURS, frame_ms, name),
                "equal tokens (%)": 100 * tokens.share,
                "first different frame": tokens.first_divergence,
            })  # fmt: skip
        return rows

    def samples(self) -> Iterator[tuple[str, list[float], str]]:
        """Raw samples for the record: name, values, unit."""
        for name, values in self.trials.raw(generation_ms).items():
            yield f"generation/{name}", values, "ms"
        for name, values in self.trials.raw(lambda speech: speech.duration_s).items():
            yield f"sound/{name}", values, "s"
        for name, seconds in self.warm_up_s.items():
            yield f"warm-up/{name}", [seconds], "s"
        yield "roofline of a frame", [self.frame_limit_ms], "ms"


def measure_baseline(
    today: Any,
    ours: Any,
    frame_limit_ms: float,
    sentences: Iterable[str],
    *,
    trials: int,
    voice: int = 0,
    seed: int = 0,
) -> Baseline:
    """Warms both engines up, lets them take turns, then speaks each sentence once with stages.

    Both decode greedily, so that they should say the same tokens and do the same work.
    """
    chosen = named(sentences)
    engines = {TODAY: today, OURS: ours}
    warm_up_s = {name: engine.warm_up() for name, engine in engines.items()}
    options = {"voice": voice, "seed": seed, "temperature": 0}
    results = compare(
        {name: whole(engine, **options) for name, engine in engines.items()}, chosen, trials, seed
    )
    staged = speak_once(
        {name: whole(engine, time_stages=True, **options) for name, engine in engines.items()},
        chosen,
    )
    return Baseline(results, staged, warm_up_s, frame_limit_ms, findings.caption(ours))
