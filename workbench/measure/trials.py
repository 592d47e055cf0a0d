"""Runs a study: arms in processes of their own, one trial at a time, in a random order.

study = run_study("tf32", baseline, [arm], metric="frame_ms", plan=Plan(trials=60))
study.judgement("tf32")          # Judgement(verdict, ratio, reason)
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from workbench.errors import InputError, OutputError
from workbench.hardware.cpu import usable_cores
from workbench.measure import memory
from workbench.measure.arm import Arm
from workbench.measure.host import Host
from workbench.measure.memory import Memory
from workbench.measure.plan import Plan
from workbench.measure.record import utc_now
from workbench.measure.study import CONTROL, INTERRUPTED, RUNNING, Study
from workbench.measure.verdict import converged, judge
from workbench.measure.watch import Limits, Watch

Progress = Callable[[str], None]
Keep = Callable[[str, int, Any], None]
Checkpoint = Callable[[Study], None]


class StudyInterrupted(KeyboardInterrupt):
    """Ctrl-C in the middle; ``study`` has what was measured until then."""

    def __init__(self, study: Study) -> None:
        going = [one for one in study.results.values() if not (one.error or one.rested)]
        rounds = min((len(one.rounds) for one in going), default=0)
        super().__init__(f"interrupted after {rounds} of {study.plan.trials} rounds")
        self.study = study


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
    checkpoint: Checkpoint | None = None,
    earlier: Study | None = None,
) -> Study:
    """Compares ``arms`` with ``baseline`` by ``metric``, a time of which less is better.

    The baseline runs once more as the A/A control. Every arm goes through several processes, all
    of which change at the same rounds. This process holds the token: it asks one worker at a time
    and sleeps until the answer comes. Whatever an arm does wrong ends that arm; a baseline that
    fails ends the study. ``progress`` is told what happens, outside of trials.
    ``keep`` gets (arm, round, what the trial made) in the rounds ``kept``: for arms whose object
    has a method ``last``, such as ``SpeechArm``'s, which gives the speech. ``checkpoint`` gets
    the study so far after each round (blocked: each start), to write it: a crash then costs no
    more than that. ``earlier`` is such a checkpoint of a study that was cut off, with the same arms
    and plan: only the rounds it lacks are run, in processes of their own (`resume.py`).

    Raises InputError for arms of one name. Ctrl-C ends all workers and raises StudyInterrupted,
    which has the study so far.
    """
    names = [CONTROL, baseline.name, *(arm.name for arm in arms)]
    twice = sorted({one for one in names if names.count(one) > 1})
    if twice:
        raise InputError(f"two arms called {', '.join(twice)}", "give each a name of its own")
    everyone = [baseline, replace(baseline, name=CONTROL), *arms]
    run = _Run(name, everyone, metric, plan or Plan(), limits or Limits(), progress, earlier)
    if keep is not None:
        run.keep, run.kept = keep, kept
    if checkpoint is not None:
        run.checkpoint = checkpoint
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
        earlier: Study | None,
    ) -> None:
        self.name, self.metric, self.plan, self.limits = name, metric, plan, limits
        before = earlier.results if earlier else {}
        self.hosts = [Host(arm, metric, plan, before.get(arm.name)) for arm in arms]
        self.orders: list[tuple[str, ...]] = list(earlier.orders if earlier else ())
        self.layout, self.layout_reason = "interleaved", "all arms fit into memory side by side"
        self.stopped = RUNNING
        self.keep: Keep = lambda arm, number, made: None
        self.kept: Collection[int] = ()
        self.checkpoint: Checkpoint = lambda study: None
        self._progress = progress
        self._done = len(self.hosts[0].result.rounds)  # whole rounds that ran earlier
        self._random = random.Random(f"{plan.seed} from {self._done}" if earlier else plan.seed)
        self._watch = Watch(lambda: [h.worker.pid for h in self.hosts if h.worker is not None])
        self._started_utc, self._started = utc_now(), time.monotonic()
        self._resumed_utc: tuple[str, ...] = ()
        self._earlier_s = 0.0
        self._before: Mapping[str, Any] = {}
        if earlier is not None:
            self._resumed_utc = (*earlier.resumed_utc, self._started_utc)
            self._started_utc, self._earlier_s = earlier.started_utc, earlier.duration_s
            self._before = earlier.environment_before
            self._watch.spans += earlier.spans
            if earlier.layout == "blocked":
                self.layout, self.layout_reason = earlier.layout, earlier.layout_reason
        self._trials_started = 0.0
        self._need = Memory(0)  # of the largest arm, as its first start showed

    def study(self) -> Study:
        """Runs all and returns the result."""
        from workbench.hardware.fingerprint import fingerprint, state

        self._before = self._before or fingerprint()
        self._after = {}
        try:
            self._starts()
        except KeyboardInterrupt:
            self.stopped = INTERRUPTED
            for host in self.hosts:
                host.kill()
            self._after = state()
            raise StudyInterrupted(self._result()) from None
        finally:
            self._close()
        self._after = state()
        return self._result()

    # -- Starts ----------------------------------------------------------------------------------

    def _starts(self) -> None:
        """One start after another; after the look, arms that have their verdict rest."""
        if self.plan.layout == "blocked":
            self.layout, self.layout_reason = "blocked", "asked for"
        for number, part in enumerate(self.plan.parts, start=1):
            if part.stop < self._done:
                continue
            if rounds := part[max(0, self._done - part.start) :]:
                whole = self.layout == "interleaved" and self._interleaved(rounds)
                if self.layout == "blocked":  # perhaps only now: the arms didn't fit into memory
                    whole = self._blocked(rounds)
                self._close()
                if not whole or not self._go_on():
                    return
            if number == self.plan.look:
                self._look()
                if not any(host.active for host in self.hosts[1:]):
                    self.stopped = f"every arm had its verdict after {part.stop} rounds"
                    return
            if number == self.plan.look or self.layout == "blocked":
                self._write()
        self.stopped = f"all {self.plan.trials} rounds were run"

    def _interleaved(self, rounds: range) -> bool:
        """A process for each arm, which take turns in each round.

        False where the study must end here, or where the arms don't fit into memory together.
        """
        if not self._open():
            return False
        self._trials_started = self._trials_started or time.monotonic()
        for number in rounds:
            with self._watch.over(number, number):
                for turn in range(self.plan.passes):
                    for host in self._shuffled():
                        self._trial(host, number, turn)
            self._write()
            self._progress(f"round {number + 1} of at most {self.plan.trials}")
            if not self._go_on():
                return False
        return True

    def _blocked(self, rounds: range) -> bool:
        """A process for each arm, one after another; False where the study must end here."""
        self._trials_started = self._trials_started or time.monotonic()
        for host in self._shuffled():
            self._progress(f"starting {host.arm.name}")
            host.open()
            with self._watch.over(rounds[0], rounds[-1]):
                for number in rounds:
                    for turn in range(self.plan.passes):
                        self._trial(host, number, turn)
            host.close()
        self._progress(f"round {rounds[-1] + 1} of at most {self.plan.trials}")
        return self._go_on()

    def _open(self) -> bool:
        """Starts a worker for each arm in random order; False where it can't.

        The order is random because the machine isn't the same for the first as for the last. The
        first time they load one after another, which shows what each needs; later as many side by
        side as there are cores.
        """
        hosts = [host for host in self.hosts if host.active]
        self._random.shuffle(hosts)
        room = memory.free()
        first = not self._trials_started
        if not first and self._turns(room.less(self._need), len(hosts) - 1):
            return False
        ahead = 1 if first else int(usable_cores() or 1)
        for at, host in enumerate(hosts):
            self._progress(f"starting {host.arm.name}")
            for one in hosts[at : at + ahead]:
                one.begin()
            host.open()
            if self.hosts[0].error is not None:
                self.stopped = "the baseline failed"
                return False
            if first:
                left = memory.free()
                taken = Memory(host.resident_bytes, room.less(left).gpus)
                self._need, room = self._need.most(taken), left
                if self._turns(room, len(hosts) - 1 - at):
                    for one in hosts:
                        one.forget_start()
                    return False
        if self.plan.layout == "interleaved":
            self.layout_reason = "asked for"
        return self._go_on()

    def _turns(self, room: Memory, waiting: int) -> bool:
        """Whether arms must take turns, as ``waiting`` more workers don't fit into ``room``."""
        why = memory.too_little(room, self._need, waiting) if waiting else ""
        if not why or self.plan.layout != "auto":
            return False
        self.layout, self.layout_reason = "blocked", why
        self._progress(f"arms take turns: {why}")
        return True

    def _write(self) -> None:
        """A checkpoint; a full disk is told, and the study goes on: it has all samples."""
        try:
            self.checkpoint(self._result())
        except OutputError as problem:
            self._progress(f"the study so far isn't written: {problem}")

    def _close(self) -> None:
        for host in self.hosts:
            host.close()

    # -- Trials ----------------------------------------------------------------------------------

    def _shuffled(self) -> list[Host]:
        """The arms that still take part in a new random order, which is noted."""
        hosts = [host for host in self.hosts if host.active]
        self._random.shuffle(hosts)
        self.orders.append(tuple(host.arm.name for host in hosts))
        return hosts

    def _trial(self, host: Host, number: int, turn: int) -> None:
        host.trial(number, turn)
        if number in self.kept and turn == 0 and host.error is None:
            made = host.last()
            if made is not None:
                self.keep(host.arm.name, number, made)

    def _go_on(self) -> bool:
        if self.hosts[0].error is not None:
            self.stopped = "the baseline failed"
        elif all(host.error is not None for host in self.hosts[1:]):
            self.stopped = "every arm but the baseline failed"
        elif (
            self.plan.seconds
            and self._trials_started
            and self._earlier_s + time.monotonic() - self._trials_started >= self.plan.seconds
        ):
            self.stopped = f"the time of {self.plan.seconds:g} s was spent"
        else:
            return True
        return False

    def _look(self) -> None:
        """Lets arms rest that have their verdict."""
        study = self._result()
        for host in self.hosts[1:]:
            if host.active:
                judgement = judge(study.pairs(host.arm.name), self.plan, early=True)
                host.rested = converged(judgement, self.plan)
                self._progress(f"{host.arm.name}: {judgement}")

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
            duration_s=round(self._earlier_s + time.monotonic() - self._started, 3),
            resumed_utc=self._resumed_utc,
            environment_before=self._before,
            environment_after=self._after,
        )
