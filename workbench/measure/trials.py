"""Runs a study: arms in processes of their own, one trial at a time, in a random order.

study = run_study("tf32", baseline, [arm], metric="frame_ms", plan=Plan(trials=60))
study.judgement("tf32")          # Judgement(verdict, ratio, reason)
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from workbench.errors import InputError
from workbench.measure import memory
from workbench.measure.arm import Arm
from workbench.measure.host import Host
from workbench.measure.memory import Memory
from workbench.measure.plan import Plan
from workbench.measure.record import utc_now
from workbench.measure.study import CONTROL, Study
from workbench.measure.verdict import converged
from workbench.measure.watch import Limits, Watch

Progress = Callable[[str], None]
Keep = Callable[[str, int, Any], None]


def run_study(
    name: str,
    baseline: Arm,
    arms: Sequence[Arm] = (),
    *,
    metric: str,
    plan: Plan | None = None,
    limits: Limits | None = None,
    progress: Progress = lambda words: None,
    keep: Keep | None = None,
    kept: Collection[int] = range(1),
) -> Study:
    """Compares ``arms`` with ``baseline`` by ``metric``, a time of which less is better.

    The baseline runs once more as the A/A control. This process holds the token: it asks one
    worker at a time and sleeps until the answer comes. Whatever an arm does wrong ends that arm;
    a baseline that fails ends the study. ``progress`` is told what happens, outside of trials.
    ``keep`` gets (arm, round, what the trial made) in the rounds ``kept``: for arms whose object
    has a method ``last``, such as ``SpeechArm``'s, which gives the speech.

    Raises InputError for arms of one name. Ctrl-C ends all workers.
    """
    names = [CONTROL, baseline.name, *(arm.name for arm in arms)]
    twice = sorted({one for one in names if names.count(one) > 1})
    if twice:
        raise InputError(f"two arms called {', '.join(twice)}", "give each a name of its own")
    everyone = [baseline, replace(baseline, name=CONTROL), *arms]
    run = _Run(name, everyone, metric, plan or Plan(), limits or Limits(), progress)
    if keep is not None:
        run.keep, run.kept = keep, kept
    return run.study()


class _Run:
    """One run of a study; its state while it lasts."""

    def __init__(
        self,
        name: str,
        arms: Sequence[Arm],
        metric: str,
        plan: Plan,
        limits: Limits,
        progress: Progress,
    ) -> None:
        self.name, self.metric, self.plan, self.limits = name, metric, plan, limits
        self.hosts = [Host(arm, metric, plan) for arm in arms]
        self.orders: list[tuple[str, ...]] = []
        self.layout, self.layout_reason = "interleaved", "all arms fit into memory side by side"
        self.stopped = f"all {plan.trials} rounds were run"
        self.keep: Keep = lambda arm, number, made: None
        self.kept: Collection[int] = ()
        self._progress = progress
        self._random = random.Random(plan.seed)
        self._watch = Watch(lambda: [h.worker.pid for h in self.hosts if h.worker is not None])
        self._started_utc, self._started = utc_now(), time.monotonic()
        self._trials_started = self._started

    def study(self) -> Study:
        """Runs all and returns the result."""
        from workbench.hardware.fingerprint import fingerprint, state

        self._before, self._after = fingerprint(), {}
        try:
            self._open()
            self._trials_started = time.monotonic()
            self._rounds()
        finally:
            for host in self.hosts:
                host.close()
        self._after = state()
        return self._result()

    # -- Start -----------------------------------------------------------------------------------

    def _open(self) -> None:
        """Starts all workers one after another, or none where they are to take turns."""
        if self.plan.layout == "blocked":
            self.layout, self.layout_reason = "blocked", "asked for"
            return
        need = Memory(0)
        room = memory.free()
        for index, host in enumerate(self.hosts):
            self._progress(f"starting {host.arm.name}")
            host.open()
            if self.hosts[0].error is not None:
                return
            left = memory.free()
            taken = Memory(host.resident_bytes, room.less(left).gpus)
            need, room = need.most(taken), left
            waiting = len(self.hosts) - index - 1
            why = memory.too_little(room, need, waiting) if waiting else ""
            if why and self.plan.layout == "auto":
                self._take_turns(why)
                return
        if self.plan.layout == "interleaved":
            self.layout_reason = "asked for"

    def _take_turns(self, why: str) -> None:
        self.layout, self.layout_reason = "blocked", why
        self._progress(f"arms take turns: {why}")
        for host in self.hosts:
            host.close()

    # -- Rounds ----------------------------------------------------------------------------------

    def _rounds(self) -> None:
        """Rounds up to each look; after it, arms that have their verdict rest."""
        for begin, end in pairwise((0, *self.plan.looks)):
            if not self._go_on():
                return
            turn = self._interleaved if self.layout == "interleaved" else self._blocked
            if not turn(range(begin, end)):
                return
            self._look()
            if not any(host.active for host in self.hosts[1:]):
                if end < self.plan.trials and any(host.rested for host in self.hosts):
                    self.stopped = f"every arm had its verdict after {end} rounds"
                return

    def _interleaved(self, rounds: range) -> bool:
        """All arms in each round; False where the study must end here."""
        for number in rounds:
            with self._watch.over(number, number):
                for host in self._shuffled():
                    self._trial(host, number)
            self._progress(f"round {number + 1} of at most {self.plan.trials}")
            if not self._go_on():
                return False
        return True

    def _blocked(self, rounds: range) -> bool:
        """One arm at a time runs a block of rounds; False where the study must end here."""
        for block in _blocks(rounds, self.plan.block):
            for host in self._shuffled():
                self._progress(f"starting {host.arm.name}")
                host.open()
                with self._watch.over(block[0], block[-1]):
                    for number in block:
                        self._trial(host, number)
                host.close()
            self._progress(f"round {block[-1] + 1} of at most {self.plan.trials}")
            if not self._go_on():
                return False
        return True

    def _shuffled(self) -> list[Host]:
        """The arms that still take part in a new random order, which is noted."""
        hosts = [host for host in self.hosts if host.active]
        self._random.shuffle(hosts)
        self.orders.append(tuple(host.arm.name for host in hosts))
        return hosts

    def _trial(self, host: Host, number: int) -> None:
        host.trial(number, self.plan.seed + number)
        if number in self.kept and host.error is None:
            made = host.last()
            if made is not None:
                self.keep(host.arm.name, number, made)

    def _go_on(self) -> bool:
        if self.hosts[0].error is not None:
            self.stopped = "the baseline failed"
        elif all(host.error is not None for host in self.hosts[1:]):
            self.stopped = "every arm but the baseline failed"
        elif self.plan.seconds and time.monotonic() - self._trials_started >= self.plan.seconds:
            self.stopped = f"the time of {self.plan.seconds:g} s was spent"
        else:
            return True
        return False

    def _look(self) -> None:
        """Lets arms rest that have their verdict."""
        study = self._result()
        for host in self.hosts[1:]:
            if host.active:
                judgement = study.undisturbed(host.arm.name)
                host.rested = converged(judgement, self.plan)
                self._progress(f"{host.arm.name}: {judgement}")
                if host.rested:
                    host.close()

    # -- Result ----------------------------------------------------------------------------------

    def _result(self) -> Study:
        return Study(
            name=self.name,
            metric=self.metric,
            plan=self.plan,
            limits=self.limits,
            results={host.arm.name: host.result for host in self.hosts},
            orders=tuple(self.orders),
            spans=tuple(self._watch.spans),
            layout=self.layout,
            layout_reason=self.layout_reason,
            stopped=self.stopped,
            started_utc=self._started_utc,
            duration_s=round(time.monotonic() - self._started, 3),
            environment_before=self._before,
            environment_after=self._after,
        )


def _blocks(rounds: range, size: int) -> Iterator[range]:
    for begin in range(rounds.start, rounds.stop, size):
        yield range(begin, min(begin + size, rounds.stop))
