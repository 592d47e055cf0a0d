"""What an ablation found: for each switch its gain, how sure, and what it does to the sound."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.hardware.fingerprint import label
from workbench.measure.arm import unit_of
from workbench.measure.statistics import Interval, Ratio
from workbench.measure.study import CONTROL, Study
from workbench.measure.verdict import Judgement, Verdict
from workbench.optimizations import Contract, switch
from workbench.studies.ablation.designs import ArmPlan, Comparison, DesignPlan
from workbench.studies.ablation.settings import AblationSettings
from workbench.studies.sound.check import SoundCheck

FILE = "ablation.json"
SCHEMA_VERSION = 1
_MIRRORED = {Verdict.FASTER: Verdict.SLOWER, Verdict.SLOWER: Verdict.FASTER}


@dataclass(frozen=True)
class Row:
    """One switch. ``reason`` says why it has no verdict, or qualifies it; often empty.

    ``ratio`` is how many times as fast things are with the switch as without, by ``metric``.
    ``against`` is the arm without it. ``memory_ratio`` is the arm's peak memory over the other's.
    """

    name: str
    metric: str
    against: str
    verdict: Verdict | None = None
    ratio: Ratio | None = None
    reason: str = ""
    memory_ratio: float | None = None
    sound: SoundCheck | None = None

    @property
    def conclusive(self) -> bool:
        """Whether its verdict answers the question."""
        return self.verdict is not None and self.verdict.conclusive

    @property
    def kept(self) -> bool | None:
        """Whether the contract's promise about the sound held; None where that isn't known."""
        return self.sound.kept if self.sound else None

    @property
    def sound_words(self) -> str:
        """The sound's check in a line."""
        return self.sound.sentence if self.sound else "not checked"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, for the command line and for claims."""
        found: dict[str, Any] = {"name": self.name, "metric": self.metric, "against": self.against}
        if self.verdict is not None:
            found["verdict"] = str(self.verdict)
        if self.reason or self.verdict is None:
            found["reason"] = self.reason
        if self.ratio is not None:
            found |= {
                "ratio": self.ratio.value,
                "interval": [self.ratio.low, self.ratio.high],
                "n": self.ratio.n,
            }
        if self.memory_ratio is not None:
            found["memory_ratio"] = self.memory_ratio
        found |= {"sound": self.sound_words, "contract_kept": self.kept}
        return found


@dataclass(frozen=True)
class PairedSamples:
    """One switch's raw pairs. ``ratios[i]``: how many times as fast it was in one round.

    ``new_processes`` are the rounds at which all arms went on in new processes.
    """

    study: Study
    ratios: tuple[float, ...]
    new_processes: tuple[int, ...]


@dataclass(frozen=True)
class Ablation:
    """An ablation's settings, its studies by comparison, and the checks of the sound by arm.

    ``studies`` lacks the comparisons that an interrupted run didn't reach.
    """

    settings: AblationSettings
    plan: DesignPlan
    studies: Mapping[str, Study]
    sounds: Mapping[str, SoundCheck]
    folder: Path

    @property
    def rows(self) -> list[Row]:
        """One row for each switch that was asked for, measured or not."""
        measured = [
            self._row(comparison, arm)
            for comparison in self.plan.comparisons
            for arm in comparison.arms
        ]
        left_out = [Row(name, "", "", reason=reason) for name, reason in self.plan.left_out.items()]
        return measured + left_out

    def row(self, name: str) -> Row:
        """The row of the switch ``name``; InputError where it isn't part of the ablation."""
        for row in self.rows:
            if name in (row.name, row.name.partition("=")[0]):
                return row
        raise InputError(
            f"the ablation has no {name!r}", f"it has: {', '.join(row.name for row in self.rows)}"
        )

    def comparison_of(self, name: str) -> tuple[Comparison, ArmPlan]:
        """Where the switch ``name`` was measured; InputError where it wasn't."""
        for comparison in self.plan.comparisons:
            for arm in comparison.arms:
                if name in (arm.switch, arm.switch.partition("=")[0]):
                    return comparison, arm
        raise InputError(f"{name} wasn't measured", self.row(name).reason)

    @property
    def disturbed(self) -> list[str]:
        """What disturbed which study; often nothing."""
        return [
            f"{name}: {what}" for name, study in self.studies.items() for what in study.disturbed
        ]

    def controls(self) -> dict[str, Judgement]:
        """What the A/A control of each study says: the noise floor."""
        return {
            name: study.undisturbed(CONTROL)
            for name, study in self.studies.items()
            if not study.failed and study.result(CONTROL).error is None
        }

    @property
    def finding(self) -> str:
        """What was learned, in a sentence or two."""
        rows = [row for row in self.rows if row.verdict is not None]
        faster = sorted(
            (row for row in rows if row.verdict is Verdict.FASTER and row.ratio),
            key=lambda row: -row.ratio.value if row.ratio else 0.0,
        )
        words = []
        if faster:
            told = ", ".join(f"{row.name} {row.ratio.value:.2f}×" for row in faster if row.ratio)
            words.append(f"Faster: {told}.")
        for verdict, title in (
            (Verdict.SLOWER, "Slower"),
            (Verdict.SAME, "No difference"),
            (Verdict.AMBIGUOUS, "Not decided"),
            (Verdict.DISTURBED, "Disturbed, no verdict"),
            (Verdict.FAILED, "Failed"),
        ):
            names = [row.name for row in rows if row.verdict is verdict]
            if names:
                words.append(f"{title}: {', '.join(names)}.")
        broken = [row.name for row in rows if row.kept is False]
        if broken:
            words.append(f"Broke its promise about the sound: {', '.join(broken)}.")
        left_out = len(self.plan.left_out)
        if left_out:
            words.append(f"{left_out} can't be measured here.")
        return " ".join(words) or "Nothing could be measured here."

    def table(self) -> list[dict[str, Any]]:
        """Rows for a table: one switch each, figures with their intervals."""
        return [
            {
                "switch": row.name,
                "verdict": str(row.verdict) if row.verdict else "–",
                "times as fast": str(row.ratio) if row.ratio else "–",
                "measured by": row.metric or "–",
                "against": row.against or "–",
                "sound": row.sound_words if row.verdict else "–",
                "promise kept": {True: "yes", False: "NO", None: "–"}[row.kept],
                "why": row.reason or "–",
            }
            for row in self.rows
        ]

    def to_dict(self) -> dict[str, Any]:
        """The result as the command line's last line has it."""
        return {
            "arms": [row.to_dict() for row in self.rows],
            "controls": {name: str(found) for name, found in self.controls().items()},
            "disturbed": self.disturbed,
            "finding": self.finding,
            "out": str(self.folder),
        }

    @property
    def answered(self) -> bool:
        """Whether every switch has a verdict, or a reason why there is none."""
        return all(row.verdict is not None or row.reason for row in self.rows)

    def answer(self, name: str) -> str:
        """What was learned of one switch, in words."""
        row = self.row(name)
        if row.verdict is None:
            return f"{row.name} can't be measured here: {row.reason}."
        reason = f" ({row.reason})" if row.reason else ""
        if row.ratio is None:
            return f"{row.name}: {row.verdict}{reason}."
        kept = {True: "its promise holds", False: "its promise is BROKEN", None: "not decided"}
        sound = f" Sound: {row.sound_words}" + (
            f"; {kept[row.kept]} ({self.contract(row)})." if row.sound else "."
        )
        return (
            f"{row.name}: {row.verdict}{reason}, {row.ratio} by {row.metric} against "
            f"{row.against}.{sound}"
        )

    def contract(self, row: Row) -> str:
        """The promise that a row's switch is held to, in words."""
        return str(switch(row.name.partition("=")[0]).contract)

    def samples(self) -> Iterator[tuple[str, list[float], str]]:
        """Raw samples for a record: "arm, metric", values, unit."""
        for comparison in self.plan.comparisons:
            study = self.studies.get(comparison.name)
            for name, result in study.results.items() if study else ():
                if result.rounds:
                    metric = comparison.metric
                    yield f"{name}, {metric}", list(result.of(metric)), unit_of(metric)

    # -- For plots and players -------------------------------------------------------------------

    def samples_of(self, name: str) -> PairedSamples:
        """Raw pairs of the switch ``name``; InputError where it wasn't measured."""
        comparison, arm = self.comparison_of(name)
        study = self.studies[comparison.name]
        pairs = study.pairs(arm.name, against=_against(comparison, arm))
        ratios = [a / b for a, b in zip(pairs.baseline, pairs.other, strict=True)]
        if arm.removes:
            ratios = [1 / ratio for ratio in ratios]
        changes = [i for i in range(1, len(pairs)) if pairs.starts[i] != pairs.starts[i - 1]]
        return PairedSamples(study, tuple(ratios), tuple(changes))

    def times(self) -> dict[str, Interval]:
        """Median of the metric with its interval, by arm, the baseline first (one comparison)."""
        found: dict[str, Interval] = {}
        for comparison in self.plan.comparisons[:1]:
            study = self.studies.get(comparison.name)
            for name in (comparison.baseline, *(arm.name for arm in comparison.arms)):
                result = study.results.get(name) if study else None
                if result and len(result.rounds) > 1:
                    found[name] = result.interval(comparison.metric)
        return found

    def rungs(self) -> dict[str, Row]:
        """The rows by the name of their arm."""
        return {
            arm.name: self._row(comparison, arm)
            for comparison in self.plan.comparisons
            for arm in comparison.arms
        }

    def cumulative(self) -> Ratio | None:
        """How many times as fast the last arm that was measured is as the baseline."""
        for comparison in self.plan.comparisons[:1]:
            study = self.studies.get(comparison.name)
            for arm in reversed(comparison.arms):
                if study and study.result(arm.name).error is None:
                    return study.undisturbed(arm.name).ratio
        return None

    @property
    def ladder_title(self) -> str:
        """The ladder's finding: what all rungs together gain."""
        gain = self.cumulative()
        if gain is None:
            return "No rung could be measured"
        count = len(self.times()) - 1
        return (
            f"{count} rungs make a frame {gain.value:.2f}× as fast ({gain.low:.2f}–{gain.high:.2f})"
        )

    def title_of(self, row: Row) -> str:
        """The finding about one switch, for a plot's title."""
        if row.ratio is None:
            return f"{row.name}: {row.reason}"
        return f"{row.name}: {row.verdict}, {row.ratio.value:.2f}× as fast as {row.against}"

    def caption(self, study: Study | None = None) -> str:
        """Engine, machine and trials."""
        if study is None:
            study = next(iter(self.studies.values()), None)
        if study is None:
            return self.settings.engine
        weights = ", random weights" if self.settings.weights == "random" else ""
        rounds = max((len(result.rounds) for result in study.results.values()), default=0)
        starts = max((len(result.starts) for result in study.results.values()), default=0)
        return (
            f"{self.settings.engine}{weights} · {label(dict(study.environment_before))} · "
            f"{rounds} interleaved rounds, each arm in {starts} processes one after another"
        )

    def clips_of(self, name: str) -> dict[str, Audio]:
        """The same text and seed without and with the switch; empty where none were kept."""
        try:
            _, arm = self.comparison_of(name)
        except InputError:
            return {}
        pair = [clip_path(self.folder, arm.name, which) for which in ("before", "after")]
        if not all(path.is_file() for path in pair):
            return {}
        labels = [f"without {arm.switch}", f"with {arm.switch}"]
        return {text: Audio.read(path) for text, path in zip(labels, pair, strict=True)}

    # -- One row ---------------------------------------------------------------------------------

    def _row(self, comparison: Comparison, arm: ArmPlan) -> Row:
        study = self.studies.get(comparison.name)
        if study is None:
            return Row(arm.switch, comparison.metric, arm.against, reason="not measured yet")
        judgement = _judgement(study, comparison, arm)
        return Row(
            arm.switch,
            comparison.metric,
            arm.against,
            verdict=judgement.verdict,
            ratio=judgement.ratio,
            reason=judgement.reason,
            memory_ratio=_memory_ratio(study, arm),
            sound=self.sounds.get(arm.name),
        )


def clip_path(folder: Path, arm: str, which: str) -> Path:
    """Where the clip ``before`` (without the switch) or ``after`` (with it) lies."""
    return folder / "sound" / f"{slug_of(arm)}-{which}.flac"


def check_path(folder: Path, arm: str) -> Path:
    """Where the check of an arm's sound lies."""
    return folder / "sound" / f"{slug_of(arm)}.json"


def slug_of(arm: str) -> str:
    """An arm's name as a file's."""
    return re.sub(r"[^\w.]+", "-", arm).strip("-").lower()


def _against(comparison: Comparison, arm: ArmPlan) -> str | None:
    return None if arm.against == comparison.baseline else arm.against


def contract_of(arm: ArmPlan) -> Contract:
    """The promise that ``arm`` is held to: its switch's own."""
    return switch(arm.switch.partition("=")[0]).contract


def _judgement(study: Study, comparison: Comparison, arm: ArmPlan) -> Judgement:
    """What ``study`` says of the switch of ``arm``: with it against without it."""
    judgement = study.judgement(arm.name, against=_against(comparison, arm))
    if not arm.removes:
        return judgement
    verdict = _MIRRORED.get(judgement.verdict, judgement.verdict)
    ratio = judgement.ratio and _inverse(judgement.ratio)
    return Judgement(verdict, ratio, judgement.reason)


def _inverse(ratio: Ratio) -> Ratio:
    return replace(ratio, value=1 / ratio.value, low=1 / ratio.high, high=1 / ratio.low)


def _memory_ratio(study: Study, arm: ArmPlan) -> float | None:
    """Peak memory with the switch over that without; None where an arm has none measured."""
    peaks = []
    for name in (arm.name, arm.against):
        result = study.results.get(name)
        samples = dict(result.samples) if result else {}
        taken = samples.get("peak_gpu_bytes") or samples.get("peak_rss_bytes")
        if not taken:
            return None
        peaks.append(max(taken))
    ratio = peaks[0] / peaks[1]
    return 1 / ratio if arm.removes else ratio if math.isfinite(ratio) else None
