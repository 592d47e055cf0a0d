"""What a claim can be judged by: two arms of a study, an exact fact, or the lack of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import InputError
from workbench.hardware.fingerprint import label
from workbench.measure.statistics import Interval, Ratio, bootstrap_interval
from workbench.measure.study import ArmResult, Study
from workbench.measure.verdict import Judgement


@dataclass(frozen=True)
class Pair:
    """Two arms of a study: ``arm`` has the optimization, ``against`` lacks it.

    ``kept`` says whether its promise about the sound held; None where that wasn't checked.
    ``beside`` is another arm of the study, whose verdict is told with the answer; often none.
    """

    study: Study
    arm: str
    against: str
    kept: bool | None = None
    beside: str = ""

    @property
    def metric(self) -> str:
        """The figure that the study compares."""
        return self.study.metric

    @property
    def result(self) -> ArmResult:
        """What the arm with the optimization gave."""
        return self.study.result(self.arm)

    def judgement(self, metric: str | None = None) -> Judgement:
        """What may be said of the optimization, by ``metric`` or the study's own."""
        return self.study.judgement(self.arm, metric, self.against)

    def has(self, metric: str) -> bool:
        """Whether both arms have samples of ``metric``."""
        return all(metric in self.study.result(name).samples for name in (self.arm, self.against))

    def level(self, metric: str) -> Interval:
        """Median of ``metric`` with the optimization."""
        return bootstrap_interval(self.result.of(metric))

    @property
    def on(self) -> Mapping[str, str]:
        """What it was measured on: engine, weights, machine, and the two arms."""
        about, environment = self.result.about, dict(self.study.environment_before)
        # A conversation names no device: its engines take the GPU where there is one.
        on_gpu = str(about.get("device", "cuda")).startswith("cuda")
        stages = about.get("stages", {})
        return {
            "engine": str(about.get("engine") or ", ".join(stages.values())),
            "machine": label(environment if on_gpu else {**environment, "gpus": []}),
            "what": f"{self.arm} against {self.against}",
        }


@dataclass(frozen=True)
class Fact:
    """A figure that is counted, exact and so without an interval; or one with its own.

    ``before`` is the same without the optimization; None where there is none, or where ``value``
    is the difference itself. ``interval`` is of ``value``, ``ratio`` of ``before`` / ``value``,
    where these were drawn from a sample.
    """

    value: float
    before: float | None
    what: str
    engine: str
    machine: str
    interval: Interval | None = None
    ratio: Ratio | None = None

    @property
    def on(self) -> Mapping[str, str]:
        """What it was counted on."""
        return {"engine": self.engine, "machine": self.machine, "what": self.what}


@dataclass(frozen=True)
class Missing:
    """Why a claim can't be measured; ``instead`` is the same switch on another engine."""

    reason: str
    instead: Pair | Fact | None = None


Evidence = Pair | Fact | Missing


def engine_of(evidence: Evidence) -> str:
    """The engine that ``evidence`` is of, without its checkpoint; empty where there is none."""
    told = evidence.instead if isinstance(evidence, Missing) else evidence
    return "" if told is None else told.on["engine"].partition(":")[0]


def characters(result: ArmResult) -> list[int]:
    """Characters of the text of each sample; InputError where the arm spoke none."""
    texts: Any = result.arm.kwargs.get("texts")
    if not texts:
        raise InputError(f"arm {result.arm.name!r} spoke no texts", "use a workload of speech")
    return [len(texts[number % len(texts)]) for number in result.rounds]


def weights_bytes(result: ArmResult) -> float | None:
    """Bytes of the engine's networks in their types, where the arm tells them."""
    found = result.about.get("weights_bytes")
    return float(found) if found else None
