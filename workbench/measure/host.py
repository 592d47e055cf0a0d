"""An arm while its study runs: its worker, its samples, and how it failed."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from typing import Any

from workbench.errors import InputError
from workbench.measure import memory
from workbench.measure.arm import Arm
from workbench.measure.plan import Plan
from workbench.measure.record import Failure
from workbench.measure.study import ArmResult, Start
from workbench.worker import Worker

_TRACEBACK_CHARS = 4_000


class Host:
    """Starts and ends an arm's worker, and keeps what its trials gave.

    Its methods never raise what the arm does wrong: they note it as the arm's ``error``, after
    which the arm takes no more part.
    """

    def __init__(self, arm: Arm, metric: str, plan: Plan) -> None:
        self.arm = arm
        self.worker: Worker | None = None
        self.error: Failure | None = None
        self.rested = False
        self.rounds: list[int] = []
        self._metric = metric
        self._plan = plan
        self._starts: list[Start] = []
        self._about: dict[str, Any] = {}
        self._samples: dict[str, list[float]] = {}

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
        samples = {name: tuple(values) for name, values in self._samples.items()}
        return ArmResult(
            self.arm, tuple(self._starts), self._about, tuple(self.rounds), samples,
            self.error, self.rested,
        )  # fmt: skip

    def open(self) -> None:
        """Starts the worker, loads and warms up."""
        limit_s = self._plan.start_s
        try:
            begin = time.perf_counter()
            self.worker = Worker(
                self.arm.target,
                python=self.arm.python,
                environment=self.arm.environment,
                name=self.arm.name,
                **self.arm.kwargs,
            )
            self.worker.ready(limit_s)
            load_s = time.perf_counter() - begin
            warm_up_s = float(self.worker.call("warm_up", timeout_s=limit_s))
            self._about = dict(self.worker.call("about", timeout_s=limit_s))
            json.dumps(self._about, allow_nan=False)  # what the record couldn't keep fails here
            self._starts.append(Start(load_s, warm_up_s, memory.resident(self.worker.pid)))
        except Exception as problem:
            self._fail(problem)

    def trial(self, number: int, seed: int) -> None:
        """Runs the trial of round ``number``."""
        if self.worker is None:
            return
        try:
            figures = self.worker.call("trial", number, seed, timeout_s=self._plan.trial_s)
            self._check(figures)
        except Exception as problem:
            self._fail(problem)
            return
        self.rounds.append(number)
        for name, value in figures.items():
            self._samples.setdefault(name, []).append(float(value))

    def last(self) -> Any:
        """What the last trial made, such as a speech; None where the arm has failed."""
        if self.worker is None:
            return None
        try:
            return self.worker.call("last", timeout_s=self._plan.trial_s)
        except Exception as problem:
            self._fail(problem)
            return None

    def close(self) -> None:
        """Ends the worker."""
        if self.worker is not None:
            self.worker.close()
            self.worker = None

    def _check(self, figures: Mapping[str, float]) -> None:
        name = self.arm.name
        if self._metric not in figures:
            raise InputError(
                f"a trial of {name!r} gave no {self._metric!r}", f"it gave: {', '.join(figures)}"
            )
        if self._samples and set(figures) != set(self._samples):
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
        if self.worker is not None:
            self.worker.kill()
        self.close()
