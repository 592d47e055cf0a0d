"""What came of cloning: each clone's likeness to every voice, and what that says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.audio import Audio
from workbench.engines.speech import Speech
from workbench.measure import findings
from workbench.measure.statistics import Interval, bootstrap_interval, share_of
from workbench.quality.speaker import similarity
from workbench.quality.verification import similarity_matrix
from workbench.quality.wer import WordErrorRate, word_error_rate
from workbench.studies.cloning.targets import Target


@dataclass(frozen=True)
class CloneTrial:
    """One clone and its mean similarity to the clips of each voice; none where it is no speech."""

    target: str
    known: bool
    speech: Speech
    similarities: Mapping[str, float]
    heard: str | None = None

    @property
    def nearest(self) -> str | None:
        """The voice it is most alike."""
        return max(self.similarities, key=self.similarities.__getitem__, default=None)

    @property
    def won(self) -> bool:
        """Whether that is its own."""
        return self.nearest == self.target


@dataclass(frozen=True)
class CloningResult:
    """All trials, with what they were measured by.

    ``voices`` holds the embeddings ``[n, D]`` of the clips that clones are held to.
    """

    trials: tuple[CloneTrial, ...]
    targets: tuple[Target, ...]
    voices: Mapping[str, np.ndarray]
    encoder: str
    machine: str

    def of(self, known: bool) -> list[CloneTrial]:
        """Trials of the engine's own voices, or of the others."""
        return [trial for trial in self.trials if trial.known == known]

    def share(self, known: bool) -> Interval | None:
        """Share of clones that are nearest to their own voice; None without trials."""
        trials = self.of(known)
        return share_of(sum(trial.won for trial in trials), len(trials)) if trials else None

    def own_similarity(self, known: bool) -> Interval | None:
        """Mean similarity to the own voice; None for fewer than two trials."""
        return _mean([t.similarities[t.target] for t in self.of(known) if t.similarities])

    def other_similarity(self, known: bool) -> Interval | None:
        """Mean similarity to the most similar other voice; None for fewer than two trials."""
        return _mean([
            max(value for name, value in trial.similarities.items() if name != trial.target)
            for trial in self.of(known)
            if len(trial.similarities) > 1
        ])  # fmt: skip

    def word_error_rate(self, known: bool) -> WordErrorRate | None:
        """How well the clones are understood; None where nobody listened."""
        trials = [trial for trial in self.of(known) if trial.heard is not None]
        if not trials:
            return None
        return word_error_rate([t.speech.text for t in trials], [t.heard or "" for t in trials])

    @property
    def matrix(self) -> dict[str, dict[str, float]]:
        """Mean similarity of each voice's clones (rows) to each voice (columns)."""
        rows: dict[str, dict[str, float]] = {}
        for target in self.targets:
            found = [t.similarities for t in self.trials if t.target == target.name]
            if found := [one for one in found if one]:
                rows[target.name] = {
                    other.name: float(np.mean([one[other.name] for one in found]))
                    for other in self.targets
                }
        return rows

    @property
    def among_themselves(self) -> dict[str, dict[str, float]]:
        """Mean similarity of the voices' own clips: what a perfect clone would come to.

        Only voices of two clips or more, of which one can be compared with another.
        """
        voices = {name: clips for name, clips in self.voices.items() if len(clips) > 1}
        values = similarity_matrix(voices)
        return {
            name: dict(zip(voices, map(float, row), strict=True))
            for name, row in zip(voices, values, strict=True)
        }

    @property
    def ruler(self) -> Interval | None:
        """Share of the voices' own clips that are nearest to their own voice's other clips."""
        won = [
            max(
                self.voices,
                key=lambda other: mean_similarity(
                    clip, [c for i, c in enumerate(self.voices[other]) if (other, i) != (name, at)]
                ),
            )
            == name
            for name, clips in self.voices.items()
            if len(clips) > 1
            for at, clip in enumerate(clips)
        ]
        return share_of(sum(won), len(won)) if won else None

    @property
    def ruler_holds(self) -> bool:
        """Whether the encoder tells the voices apart better than by chance."""
        ruler = self.ruler
        return ruler is not None and ruler.low > self.chance

    @property
    def ruler_finding(self) -> str:
        """How well the encoder knows the voices themselves."""
        ruler = self.ruler
        if ruler is None:
            return "One clip of each voice: the encoder can't be judged"
        return f"{ruler.n * ruler.value:.0f} of {ruler.n} clips are nearest to their own voice"

    @property
    def example(self) -> CloneTrial:
        """A clone to listen to: of a new voice where there is one."""
        return next(iter([*self.of(known=False), *self.trials]))

    def listening(self, others: int = 2) -> dict[str, Audio]:
        """Reference, clone and other voices to hear side by side, by what they are."""
        trial = self.example
        (target,) = (one for one in self.targets if one.name == trial.target)
        rest = [one for one in self.targets if one is not target][:others]
        return {
            f"Reference: {target.name}": target.prompts[0].audio,
            f"Clone of {target.name}": trial.speech,
            **{f"Another voice: {one.name}": one.clips[0] for one in rest},
        }

    @property
    def caption(self) -> str:
        """Engine, machine, encoder and n."""
        return f"{self.machine} · encoder {self.encoder} · n = {len(self.trials)} clones"

    @property
    def finding(self) -> str:
        """Whether new voices are cloned."""
        share = self.share(known=False)
        if share is None:
            return "No voice was cloned that the engine doesn't know"
        words = f"{100 * share.value:.0f} % ({100 * share.low:.0f}–{100 * share.high:.0f})"
        if share.low > self.chance:
            return f"New voices are heard: {words} of their clones are nearest to them"
        return f"No cloning heard: {words} of new voices' clones are nearest to them"

    @property
    def chance(self) -> float:
        """The share that picking a voice at random would win."""
        return 1 / max(len(self.targets), 1)

    @property
    def verdict(self) -> str:
        """What was learned, in words."""
        words = f"{self.finding}; by chance it would be {100 * self.chance:.0f} %."
        new = [trial.nearest for trial in self.of(known=False) if trial.nearest]
        if new and (taken := max(set(new), key=new.count)) in self._known_names:
            words += f" They are mostly nearest to {taken} ({new.count(taken)} of {len(new)})."
        if (control := self.share(known=True)) is not None:
            words += (
                f" The control, voices the engine knows, wins {100 * control.value:.0f} % "
                f"({100 * control.low:.0f}–{100 * control.high:.0f})."
            )
        return words + findings.noise_warning(self.trials[0].speech)

    @property
    def _known_names(self) -> set[str]:
        return {target.name for target in self.targets if target.known}

    def rows(self) -> list[dict[str, Any]]:
        """One row for known voices and one for new ones."""
        names = {True: "voices it knows", False: "new voices"}
        return [
            {
                "clones of": names[known],
                "clones": len(self.of(known)),
                "nearest to their own voice (%)": percent(self.share(known)),
                "similarity to it": self.own_similarity(known),
                "to the next other voice": self.other_similarity(known),
                "WER": rate.value if (rate := self.word_error_rate(known)) else None,
            }
            for known in (True, False)
            if self.of(known)
        ]

    def samples(self) -> Iterator[tuple[str, list[float], str]]:
        """Raw samples for the record: name, values, unit."""
        for target in dict.fromkeys(trial.target for trial in self.trials):
            mine = [t for t in self.trials if t.target == target and t.similarities]
            if mine:
                yield f"similarity/{target}", [t.similarities[target] for t in mine], "cosine"
                yield f"won/{target}", [float(t.won) for t in mine], "0 or 1"


def percent(share: Interval | None) -> Interval | None:
    """A share in percent."""
    if share is None:
        return None
    return Interval(100 * share.value, 100 * share.low, 100 * share.high, share.n)


def mean_similarity(one: np.ndarray, others: Sequence[np.ndarray] | np.ndarray) -> float:
    """Mean similarity of an embedding ``[D]`` to others."""
    return float(np.mean([similarity(one, other) for other in others]))


def _mean(values: Sequence[float]) -> Interval | None:
    return bootstrap_interval(values, np.mean) if len(values) > 1 else None
