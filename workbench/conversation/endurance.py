"""Minutes of conversation in real time on real engines, with faults: does it live, and stay small?

    with load_stages(preset("nano")) as stages:
        found = endure(stages, sounds, minutes=5)
    found.problems, found.sentence

Where the soak test (`soak.py`) simulates time and stages, here everything is real: sound at its own
speed, engines, threads, processes. What is held is looked at between turns.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from workbench.audio import Audio
from workbench.conversation import events as e
from workbench.conversation.clock import run
from workbench.conversation.faults import (
    Faults,
    FaultyChat,
    FaultyRecognition,
    FaultySynthesis,
    FaultyTurnTaking,
    SimulatedUser,
)
from workbench.conversation.session import Session
from workbench.conversation.settings import Settings, TimeLimits
from workbench.conversation.sinks import Recording
from workbench.conversation.soak import Watch, counted
from workbench.conversation.stages import Stages
from workbench.errors import InputError
from workbench.measure.soak import growth

LIMITS = TimeLimits(3, 2, 3, 3, 5)  # what hangs on purpose shouldn't fill the minutes
_SETTLED = 0.5  # share of the looks after which caches of all kinds should be full
_FLAT_SHARE = 0.02  # of memory: allocators return it late and in pieces
_FEWEST = 8  # looks; fewer tell no growth


@dataclass(frozen=True)
class Held:
    """What the conversation held at one moment, ``at_s`` after its begin, in all its processes.

    ``tasks`` are those of its event loop, ``descriptors`` open files, pipes and sockets.
    """

    at_s: float
    resident_bytes: int
    descriptors: int
    threads: int
    processes: int
    tasks: int


@dataclass(frozen=True)
class Endurance:
    """What was found; ``problems`` is empty where nothing is wrong. ``held`` is in order."""

    minutes: float
    seed: int
    mode: e.Mode
    stages: Mapping[str, str]
    turns: int
    outcomes: Mapping[str, int]
    injected: Mapping[str, int]
    failures: Mapping[str, int]
    barge_ins: int
    longest_answer_s: float
    longest_stop_ms: float
    held: tuple[Held, ...]

    def grown(self, what: str) -> int:
        """How much more of ``what`` (a field of Held) there was at the end of the settled part
        than at its begin: medians over a tenth of the looks.
        """
        return growth([getattr(one, what) for one in self.held], self.settled)

    @property
    def settled(self) -> int:
        """The first look of the settled part."""
        return int(_SETTLED * len(self.held))

    @property
    def problems(self) -> list[str]:
        """What is wrong."""
        found = []
        if len(self.held) < _FEWEST:
            found.append(f"{len(self.held)} looks between turns: too few to tell growth")
        else:
            allowed = _FLAT_SHARE * self.held[self.settled].resident_bytes
            if (more := self.grown("resident_bytes")) > allowed:
                found.append(f"memory grew by {more / 2**20:.1f} MiB")
            found += [
                f"{more} more {what} at the end"
                for what in ("descriptors", "threads", "tasks", "processes")
                if (more := self.grown(what)) > 0
            ]
        if self.longest_stop_ms > 80:
            found.append(f"a barge-in stopped the answer only after {self.longest_stop_ms:.0f} ms")
        if not self.outcomes.get("spoken"):
            found.append("nothing was answered")
        return found

    @property
    def sentence(self) -> str:
        """What was tried and found, in words."""
        faults, failed = sum(self.injected.values()), sum(self.failures.values())
        first, last = (self.held[at] for at in (self.settled, -1)) if self.held else (None, None)
        words = (
            f"{self.minutes:g} minutes in real time: {counted(self.turns, 'turn')}, "
            f"{counted(self.barge_ins, 'barge-in')}, {counted(faults, 'fault')}, "
            f"{counted(failed, 'failure')} told"
        )
        if first and last:
            words += (
                f"; from the half on {self.grown('resident_bytes') / 2**20:+.1f} MiB "
                f"of {first.resident_bytes / 2**20:,.0f}, descriptors {first.descriptors} to "
                f"{last.descriptors}, threads {first.threads} to {last.threads}, tasks "
                f"{first.tasks} to {last.tasks}, processes {first.processes} to {last.processes}"
            )
        return f"{words}; {'; '.join(self.problems) or 'no crash, no growth, nothing stuck'}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, with every look."""
        return {**asdict(self), "sentence": self.sentence, "problems": self.problems}


class SpokenUser(SimulatedUser):
    """Asks one of ``sounds`` at a time, pauses, coughs and interrupts; ``between`` is called
    before each turn.
    """

    def __init__(
        self,
        sounds: Sequence[Audio],
        minutes: float,
        faults: Faults,
        source: random.Random,
        between: Callable[[], None],
    ) -> None:
        super().__init__(minutes, faults, source)
        self._sounds = [sound.resampled(self.rate_hz).samples for sound in sounds]
        self._between = between

    def _turn(self) -> list[np.ndarray]:
        self._between()
        draw = self._source
        if draw.random() < 0.05:
            noise = np.random.default_rng(draw.randrange(1 << 30)).standard_normal(3200)
            return [(0.1 * noise).astype(np.float32), self._silence(1.0)]  # a cough
        parts = [draw.choice(self._sounds)]
        if draw.random() < 0.2:  # goes on after a pause
            parts += [self._silence(draw.uniform(0.1, 0.6)), draw.choice(self._sounds)]
        return parts


def endure(
    stages: Stages,
    sounds: Sequence[Audio],
    minutes: float = 5.0,
    *,
    seed: int = 0,
    mode: e.Mode = "overlapped",
    faults: float = 0.05,
    progress: Callable[[float], None] = lambda minutes: None,
) -> Endurance:
    """Asks ``sounds`` for ``minutes``; each call of a stage goes wrong with ``faults``, and an
    engine with a process of its own is killed in a fifth as many.

    ``progress`` is told the minutes that have passed, once a minute. Raises InputError without a
    sound, TraceError where the trace contradicts itself.
    """
    if not sounds:
        raise InputError("nothing to ask", "pass at least one question as sound")
    draw = random.Random(seed)
    chance = Faults(faults, draw)
    watch = Watch(progress)
    watch.quarter_ms = math.inf  # objects aren't counted: that would stop the ears
    held: list[Held] = []

    async def work() -> None:
        began_s = asyncio.get_running_loop().time()

        def look() -> None:
            if not session.busy:
                held.append(_held(asyncio.get_running_loop().time() - began_s))

        def on_event(event: e.Event) -> None:
            watch.see(event)
            user.on_event(event)
            if isinstance(event, e.StageStarted):
                _kill(stages, event.stage, chance)

        user = SpokenUser(sounds, minutes, chance, draw, look)
        settings = Settings(mode=mode, limits=LIMITS)
        session = Session(_with_faults(stages, chance), settings, on_event=on_event)
        await session.run(user, Recording(keep=False))

    run(work)
    watch.checker.finish()
    return Endurance(
        minutes=minutes,
        seed=seed,
        mode=mode,
        stages=stages.names,
        turns=watch.turns,
        outcomes=dict(watch.outcomes),
        injected=dict(sorted(chance.injected.items())),
        failures=dict(watch.failures),
        barge_ins=watch.barge_ins,
        longest_answer_s=watch.longest_answer_ms / 1000,
        longest_stop_ms=watch.longest_stop_ms,
        held=tuple(held),
    )


def _with_faults(stages: Stages, chance: Faults) -> Stages:
    return replace(
        stages,
        turn=FaultyTurnTaking(stages.turn, chance),
        recognizer=FaultyRecognition(stages.recognizer, chance),
        chat=FaultyChat(stages.chat, chance),
        synthesizer=FaultySynthesis(stages.synthesizer, chance),
    )


def _kill(stages: Stages, stage: str, chance: Faults) -> None:
    """Now and then, the process of the stage that begins."""
    pid = getattr(getattr(stages, stage, None), "pid", None)
    if pid is not None and chance.strikes(f"{stage} killed", chance.share / 5):
        os.kill(pid, signal.SIGKILL)


def _held(at_s: float) -> Held:
    import psutil

    ours = psutil.Process()
    every = [ours, *ours.children(recursive=True)]
    resident = descriptors = threads = 0
    for process in every:
        try:
            with process.oneshot():
                resident += process.memory_info().rss
                descriptors += process.num_fds() if hasattr(process, "num_fds") else 0
                threads += process.num_threads()
        except psutil.NoSuchProcess:
            continue
    tasks = len(asyncio.all_tasks())
    return Held(round(at_s, 3), resident, descriptors, threads, len(every), tasks)
