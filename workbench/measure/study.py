"""A study's result: every arm's raw samples, what the machine did meanwhile, and the verdicts.

Verdicts are derived from the samples whenever they are asked for; only samples are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from workbench.errors import InputError
from workbench.measure.arm import Arm
from workbench.measure.plan import Plan
from workbench.measure.record import Failure
from workbench.measure.statistics import Interval, bootstrap_interval
from workbench.measure.verdict import Judgement, Pairs, Verdict, judge
from workbench.measure.watch import Limits, Span, disturbances

CONTROL = "A/A control"  # the baseline once more, in processes of its own
RUNNING, INTERRUPTED = "still running", "interrupted"  # how a study that isn't whole stopped
_BUSY_PERCENT = 5  # of a GPU before the study: someone else's work


@dataclass(frozen=True)
class Start:
    """One start of an arm's worker: loading and warming up, in seconds, and what memory it held.

    Sample i of an arm comes from the worker of ``starts[start_of[i]]``. Only in the first start
    does a worker load with nothing else running.
    """

    load_s: float
    warm_up_s: float
    resident_bytes: int


@dataclass(frozen=True)
class ArmResult:
    """What an arm gave. Sample i of each metric belongs to round ``rounds[i]``, and was taken in
    the arm's process number ``start_of[i]``.

    ``about`` is what really ran; ``error`` why the arm failed. ``rested`` says that it stopped
    before the others, having a verdict.
    """

    arm: Arm
    starts: tuple[Start, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    rounds: tuple[int, ...] = ()
    start_of: tuple[int, ...] = ()
    samples: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    error: Failure | None = None
    rested: bool = False

    def of(self, metric: str) -> tuple[float, ...]:
        """Raw samples of ``metric``, none where no trial ran; InputError for an unknown one."""
        if not self.rounds:
            return ()
        try:
            return self.samples[metric]
        except KeyError:
            known = ", ".join(self.samples) or "none"
            raise InputError(
                f"arm {self.arm.name!r} has no metric {metric!r}", f"it has: {known}"
            ) from None

    def interval(self, metric: str) -> Interval:
        """Median of ``metric`` with its bootstrap interval, as far as trials tell.

        For showing how an arm's trials scatter; what another process would give isn't in it.
        """
        return bootstrap_interval(self.of(metric))

    def parts(self, metric: str) -> list[list[float]]:
        """Samples of ``metric`` by start."""
        values = list(zip(self.start_of, self.of(metric), strict=True))
        return [[value for at, value in values if at == n] for n in sorted(set(self.start_of))]


@dataclass(frozen=True)
class Study:
    """Arms against a baseline. ``results`` are in the order: baseline, control, the others.

    ``orders`` has one entry a pass of a round (blocked: a start): the arms in the order they ran.
    ``layout`` is ``interleaved`` or ``blocked``, ``layout_reason`` why. ``stopped`` says what ended
    the study. ``resumed_utc`` is when it went on after it was cut off, if it ever was.
    """

    name: str
    metric: str
    plan: Plan
    limits: Limits
    results: Mapping[str, ArmResult]
    orders: tuple[tuple[str, ...], ...]
    spans: tuple[Span, ...]
    layout: str
    layout_reason: str
    stopped: str
    started_utc: str
    duration_s: float
    environment_before: Mapping[str, Any]
    environment_after: Mapping[str, Any]
    resumed_utc: tuple[str, ...] = ()

    @property
    def baseline(self) -> ArmResult:
        """The arm all others are compared with."""
        return next(iter(self.results.values()))

    @property
    def others(self) -> tuple[str, ...]:
        """Names of all arms but the baseline; the control comes first."""
        return tuple(self.results)[1:]

    @property
    def finished(self) -> bool:
        """Whether it came to its end; a checkpoint and an interrupted study didn't."""
        return self.stopped not in (RUNNING, INTERRUPTED)

    @property
    def failed(self) -> str:
        """Why the study as a whole failed: its baseline did. Empty where it didn't."""
        error = self.baseline.error
        return f"the baseline failed: {error.message}" if error else ""

    @cached_property
    def disturbed(self) -> tuple[str, ...]:
        """What disturbed the study so that nothing may be said of any arm; often nothing.

        What ``seen`` has; and where the baseline differs from the control, which is itself,
        something that wasn't seen.
        """
        found = list(self.seen)
        control = self.results.get(CONTROL)
        if control and not control.error and not self.failed:
            judgement = self.undisturbed(CONTROL)
            if judgement.verdict.differs:
                found.append(f"the baseline differs from itself: {judgement}")
        return tuple(found)

    @cached_property
    def seen(self) -> tuple[str, ...]:
        """What was seen to disturb it: other programs on the processor or on a GPU, clocks held
        back; often nothing.
        """
        devices = self._devices
        found = [
            f"GPU {device['index']} was {device['busy_percent']} % busy before the study began"
            for device in devices
            if (device.get("busy_percent") or 0) > _BUSY_PERCENT
        ]
        found += disturbances(self.spans, self.limits, {device["index"] for device in devices})
        return tuple(found)

    def pairs(self, arm: str, metric: str | None = None, against: str | None = None) -> Pairs:
        """Samples of ``against`` (default: the baseline) and ``arm`` in the rounds both ran."""
        metric, result = metric or self.metric, self.result(arm)
        other = self.baseline if against is None else self.result(against)
        first, second = (
            dict(zip(one.rounds, zip(one.start_of, one.of(metric), strict=True), strict=True))
            for one in (other, result)
        )
        rows = [(*first[number], *second[number]) for number in first if number in second]
        return Pairs(
            [time for _, time, _, _ in rows],
            [time for _, _, _, time in rows],
            [(start, its) for start, _, its, _ in rows],
        )

    def judgement(
        self, arm: str, metric: str | None = None, against: str | None = None
    ) -> Judgement:
        """What may be said of ``arm``, by the study's metric or another one of its metrics.

        ``against`` is the arm to compare it with; default: the baseline.
        """
        for result in (self.result(arm), *([self.result(against)] if against else [])):
            if result.error:
                why = f"{result.error.type}: {result.error.message}"
                return Judgement(Verdict.FAILED, None, why)
        if self.failed:
            return Judgement(Verdict.FAILED, None, self.failed)
        judgement = self.undisturbed(arm, metric, against)
        if self.disturbed:
            return Judgement(Verdict.DISTURBED, judgement.ratio, "; ".join(self.disturbed))
        return judgement

    def undisturbed(
        self, arm: str, metric: str | None = None, against: str | None = None
    ) -> Judgement:
        """What the samples alone say of ``arm``."""
        early = any(self.result(name).rested for name in (arm, against) if name)
        return judge(self.pairs(arm, metric, against), self.plan, early=early)

    def result(self, arm: str) -> ArmResult:
        """The result of ``arm``; InputError where the study has none called so."""
        try:
            return self.results[arm]
        except KeyError:
            raise InputError(
                f"study {self.name!r} has no arm {arm!r}", f"it has: {', '.join(self.results)}"
            ) from None

    @property
    def _devices(self) -> list[dict[str, Any]]:
        """The GPUs that arms ran on, as they were before the study."""
        names = {str(result.about.get("device", "")) for result in self.results.values()}
        used = {int(name.partition(":")[2] or 0) for name in names if name.startswith("cuda")}
        known = self.environment_before.get("gpus", ())
        return [device for device in known if device["torch_index"] in used]

    @property
    def verdict(self) -> str:
        """All verdicts in a sentence or two."""
        if self.failed:
            return self.failed
        words = [
            f"{arm}: {self.undisturbed(arm) if self.result(arm).error is None else 'FAILED'}"
            for arm in self.others
        ]
        if self.disturbed:
            return f"no verdict: {'; '.join(self.disturbed)}"
        return "; ".join(words) + f" ({self.metric} against {self.baseline.arm.name})"
