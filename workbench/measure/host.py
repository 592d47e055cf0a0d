"""An arm while its study runs: its worker, its samples, and how it failed."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from workbench.errors import InputError
from workbench.hardware import cpu
from workbench.measure import memory
from workbench.measure.arm import Arm
from workbench.measure.plan import Plan
from workbench.measure.record import Failure
from workbench.measure.study import ArmResult, Start
from workbench.worker import Worker

_TRACEBACK_CHARS = 4_000
_TUNABLES = "GLIBC_TUNABLES"


def _steady_memory() -> dict[str, str]:
    """Asks glibc for huge pages, unless the user has set it up.

    Where a process's small pages lie is decided anew at each start, and made processes of one arm
    differ by 1.7 per cent (standard deviation) where it is 0.7 with huge ones (docs/log.md). A
    system without glibc or huge pages takes no notice.
    """
    return {_TUNABLES: os.environ.get(_TUNABLES) or "glibc.malloc.hugetlb=1"}


class Host:
    """Starts and ends an arm's worker, and keeps what its trials gave.

    Its methods never raise what the arm does wrong: they note it as the arm's ``error``, after
    which the arm takes no more part. ``earlier`` is what the arm gave before its study was cut off.
    """

    def __init__(self, arm: Arm, metric: str, plan: Plan, earlier: ArmResult | None = None) -> None:
        before = earlier or ArmResult(arm)
        self.arm = arm
        self.worker: Worker | None = None
        self.error: Failure | None = before.error
        self.rested = before.rested
        self._metric = metric
        self._plan = plan
        self._starts: list[Start] = list(before.starts)
        self._about: dict[str, Any] = dict(before.about)
        self._trials: list[tuple[int, int, dict[str, float]]] = [  # round, start, figures
            (number, start, {name: values[at] for name, values in before.samples.items()})
            for at, (number, start) in enumerate(zip(before.rounds, before.start_of, strict=True))
        ]
        self._passes: list[dict[str, float]] = []  # of the trial that runs
        self._begun_s = 0.0

    @property
    def active(self) -> bool:
        """Whether it still takes part."""
        return self.error is None and not self.rested

    @property
    def resident_bytes(self) -> int:
        """Memory that its worker held after the last start."""
        return self._starts[-1].resident_bytes if self._starts else 0

    @property
    def result(self) -> ArmResult:
        """What it gave so far."""
        trials = tuple(self._trials)
        names = trials[0][2] if trials else ()
        return ArmResult(
            arm=self.arm,
            starts=tuple(self._starts),
            about=self._about,
            rounds=tuple(number for number, _, _ in trials),
            start_of=tuple(start for _, start, _ in trials),
            samples={name: tuple(figures[name] for *_, figures in trials) for name in names},
            error=self.error,
            rested=self.rested,
        )

    def begin(self) -> None:
        """Starts the worker, which loads by itself; ``open`` waits for it."""
        if self.worker is not None or not self.active:
            return
        self._begun_s = time.perf_counter()
        try:
            self.worker = Worker(
                self.arm.target,
                python=self.arm.python,
                environment={**_steady_memory(), **self.arm.environment},
                name=self.arm.name,
                **self.arm.kwargs,
            )
        except Exception as problem:
            self._fail(problem)

    def open(self) -> None:
        """Starts the worker unless it has begun, loads and warms up."""
        limit_s = self._plan.start_s
        self.begin()
        if self.worker is None:
            return
        try:
            self.worker.ready(limit_s)
            load_s = time.perf_counter() - self._begun_s
            warm_up_s = float(self.worker.call("warm_up", timeout_s=limit_s))
            about = dict(self.worker.call("about", timeout_s=limit_s))
            # As the record has it: what it couldn't keep fails here.
            about = json.loads(json.dumps(about, allow_nan=False))
            about["malloc"] = self.arm.environment.get(_TUNABLES) or _steady_memory().get(_TUNABLES)
            if about.get("threads") == 1:
                # The scheduler leaves a process where it woke up, and cores differ by some per
                # cent; on one core arms share whatever slows it down.
                about["core"] = cpu.keep_on_one_core(self.worker.pid)
            self._require_same(about)
            self._about = about
            self._starts.append(Start(load_s, warm_up_s, memory.resident(self.worker.pid)))
        except Exception as problem:
            self._fail(problem)

    def trial(self, number: int, turn: int) -> None:
        """Pass ``turn`` of the trial of round ``number``; the last one completes the sample."""
        if self.worker is None:
            return
        index = number * self._plan.passes + turn
        try:
            seed = self._plan.seed + index
            figures = self.worker.call("trial", index, seed, timeout_s=self._plan.trial_s)
            self._check(figures)
        except Exception as problem:
            self._fail(problem)
            return
        if turn == 0:
            self._passes = []
        self._passes.append({name: float(value) for name, value in figures.items()})
        if turn + 1 == self._plan.passes:
            # One append, so that Ctrl-C leaves whole trials only.
            whole = {name: fmean(one[name] for one in self._passes) for name in figures}
            self._trials.append((number, len(self._starts) - 1, whole))

    def last(self) -> Any:
        """What the last trial made, such as a speech; None where the arm has failed."""
        if self.worker is None:
            return None
        try:
            return self.worker.call("last", timeout_s=self._plan.trial_s)
        except Exception as problem:
            self._fail(problem)
            return None

    def forget_start(self) -> None:
        """Ends a worker that has just been started, as if it had never been."""
        if self.worker is not None:
            self.close()
            self._starts.pop()

    def kill(self) -> None:
        """Ends the worker at once, also in the middle of a trial."""
        if self.worker is not None:
            self.worker.kill()
            self.close()

    def close(self) -> None:
        """Ends the worker."""
        if self.worker is not None:
            self.worker.close()
            self.worker = None

    def _require_same(self, about: Mapping[str, Any]) -> None:
        """One arm runs the same in each of its processes."""
        changed = [key for key in about if self._about and about[key] != self._about.get(key)]
        if changed:
            was, now = ({key: one.get(key) for key in changed} for one in (self._about, about))
            raise InputError(
                f"a later process of {self.arm.name!r} ran something else: {now} instead of {was}",
                "fix what the arm runs, such as its revision and threads",
            )

    def _check(self, figures: Mapping[str, float]) -> None:
        name = self.arm.name
        if self._metric not in figures:
            raise InputError(
                f"a trial of {name!r} gave no {self._metric!r}", f"it gave: {', '.join(figures)}"
            )
        before = (
            self._trials[0][2] if self._trials else self._passes[0] if self._passes else figures
        )
        if set(figures) != set(before):
            raise InputError(f"trials of {name!r} gave different figures", "give the same in each")
        wrong = [key for key, value in figures.items() if not math.isfinite(value)]
        if wrong or figures[self._metric] <= 0:
            raise InputError(
                f"a trial of {name!r} gave {', '.join(wrong) or self._metric} without sense",
                "give finite figures, and times above zero",
            )

    def _fail(self, problem: Exception) -> None:
        notes = "\n".join(getattr(problem, "__notes__", ()))
        message = str(problem) or type(problem).__name__
        self.error = Failure(type(problem).__name__, message, notes[-_TRACEBACK_CHARS:])
        self.kill()
