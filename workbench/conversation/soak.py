"""Hours of conversation in seconds, with faults in every stage: does it live, and stay small?

Scripted stages on the simulated clock, so that every run of a seed is the same. What is tried is
the pipeline: cancelling, time limits, queues, what is freed; not the engines.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from workbench.conversation import events as e
from workbench.conversation.checker import TraceChecker
from workbench.conversation.clock import run
from workbench.conversation.faults import (
    Faults,
    FaultyChat,
    FaultyRecognition,
    FaultySynthesis,
    FaultyTurnTaking,
    FaultyVad,
    SimulatedUser,
)
from workbench.conversation.scripted import ScriptedChat, ScriptedSynthesis, scripted_stages
from workbench.conversation.session import Session
from workbench.conversation.settings import Settings
from workbench.conversation.sinks import Recording
from workbench.conversation.stages import Stages

# Every stage may use up its time limit, and the answer be spoken at its own speed.
_LONGEST_ANSWER_S = 90.0
_GROWTH_OBJECTS = (
    2_000  # of Python's, from the first quarter to the end; a leak is tens of times that
)


@dataclass(frozen=True)
class Soak:
    """What a soak test found; ``problems`` is empty where nothing is wrong.

    ``longest_answer_s`` is from a turn's end to the end of its answer, ``longest_stop_ms`` from a
    barge-in to the answer's end. ``grown_objects`` counts Python objects from the first quarter to
    the end.
    """

    minutes: float
    seed: int
    mode: e.Mode
    events: int
    turns: int
    outcomes: dict[str, int]
    injected: dict[str, int]
    failures: dict[str, int]
    barge_ins: int
    longest_answer_s: float
    longest_stop_ms: float
    grown_objects: int
    open_streams: int
    tasks_left: int
    took_s: float

    @property
    def problems(self) -> list[str]:
        """What is wrong."""
        found = []
        if self.open_streams:
            found.append(f"{self.open_streams} streams of stages were left open")
        if self.tasks_left:
            found.append(f"{self.tasks_left} tasks were left running")
        if self.grown_objects > _GROWTH_OBJECTS:
            found.append(f"{self.grown_objects:,} objects more at the end than after a quarter")
        if self.longest_answer_s > _LONGEST_ANSWER_S:
            found.append(f"an answer took {self.longest_answer_s:.0f} s")
        if self.longest_stop_ms > 80:
            found.append(f"a barge-in stopped the answer only after {self.longest_stop_ms:.0f} ms")
        if not self.outcomes.get("spoken"):
            found.append("nothing was answered")
        return found

    @property
    def sentence(self) -> str:
        """What was tried and found, in words."""
        faults, failed = sum(self.injected.values()), sum(self.failures.values())
        return (
            f"{self.minutes:g} simulated minutes: {counted(self.turns, 'turn')}, "
            f"{counted(self.barge_ins, 'barge-in')}, {counted(faults, 'fault')}, "
            f"{counted(failed, 'failure')} told; "
            f"{'; '.join(self.problems) or 'no crash, no growth, nothing left open'}"
        )

    def rows(self) -> list[dict[str, Any]]:
        """What went wrong on purpose, and how often."""
        return [{"fault": name, "times": count} for name, count in self.injected.items()]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "problems": self.problems}


def soak(
    minutes: float = 30.0,
    *,
    seed: int = 0,
    mode: e.Mode = "overlapped",
    faults: float = 0.15,
    progress: Callable[[float], None] = lambda minutes: None,
) -> Soak:
    """Talks for ``minutes`` of simulated time; each call of a stage goes wrong with ``faults``.

    ``progress`` is told the simulated minutes that have passed, once a minute.

    Raises TraceError where the trace contradicts itself, StuckError where nothing goes on.
    """
    began = time.perf_counter()
    draw = random.Random(seed)
    chance = Faults(faults, draw)
    chat = ScriptedChat(lambda text: _answer(draw), first_s=0.15, token_s=0.02)
    synthesizer = ScriptedSynthesis()
    watch = Watch(progress)

    async def work() -> int:
        user = SimulatedUser(minutes, chance, draw)

        def on_event(event: e.Event) -> None:
            watch.see(event)
            user.on_event(event)

        session = Session(
            _with_faults(chat, synthesizer, chance), Settings(mode=mode), on_event=on_event
        )
        watch.quarter_ms = 1000 * user.seconds / 4
        await session.run(user, Recording(keep=False))
        return len(asyncio.all_tasks()) - 1

    gc.collect()
    gc.freeze()  # what lived before is neither counted nor looked at
    try:
        tasks_left = run(work, simulated=True)
        gc.collect()
        objects = len(gc.get_objects())
    finally:
        gc.unfreeze()
    watch.checker.finish()
    return Soak(
        minutes=minutes,
        seed=seed,
        mode=mode,
        events=watch.checker.count,
        turns=watch.turns,
        outcomes=dict(watch.outcomes),
        injected=dict(sorted(chance.injected.items())),
        failures=dict(watch.failures),
        barge_ins=watch.barge_ins,
        longest_answer_s=watch.longest_answer_ms / 1000,
        longest_stop_ms=watch.longest_stop_ms,
        grown_objects=objects - watch.objects,
        open_streams=chat.open + synthesizer.open,
        tasks_left=tasks_left,
        took_s=time.perf_counter() - began,
    )


class Watch:
    """Sees every event, keeps none: counts and checks. ``progress`` is told each minute."""

    def __init__(self, progress: Callable[[float], None]) -> None:
        self.checker = TraceChecker()
        self.turns = self.barge_ins = self.objects = 0
        self.outcomes: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.longest_answer_ms = self.longest_stop_ms = 0.0
        self.quarter_ms = 0.0
        self._progress = progress
        self._minutes = 0
        self._over_ms: float | None = None
        self._barge_ms: float | None = None

    def see(self, event: e.Event) -> None:
        """Takes the next event; TraceError where it contradicts those before."""
        self.checker.check(event)
        if not self.objects and event.at_ms >= self.quarter_ms:
            gc.collect()
            self.objects = len(gc.get_objects())
        if event.at_ms >= 60_000 * (self._minutes + 1):
            self._minutes += 1
            self._progress(self._minutes)
        if isinstance(event, e.TurnEnded):
            self.turns += 1
            self._over_ms = event.at_ms
        elif isinstance(event, e.StageFailed):
            self.failures[event.stage] += 1
        elif isinstance(event, e.BargeIn):
            self.barge_ins += 1
            self._barge_ms = event.at_ms
        elif isinstance(event, e.AttemptEnded):
            self._ended(event)

    def _ended(self, event: e.AttemptEnded) -> None:
        self.outcomes[event.outcome] += 1
        if self._over_ms is not None and event.outcome != "cancelled":
            self.longest_answer_ms = max(self.longest_answer_ms, event.at_ms - self._over_ms)
            self._over_ms = None
        if self._barge_ms is not None:
            self.longest_stop_ms = max(self.longest_stop_ms, event.at_ms - self._barge_ms)
            self._barge_ms = None


def counted(number: int, what: str) -> str:
    """As "1 turn" and "2 turns"."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def _with_faults(chat: ScriptedChat, synthesizer: ScriptedSynthesis, chance: Faults) -> Stages:
    plain = scripted_stages()
    return Stages(
        vad=FaultyVad(chance),
        turn=FaultyTurnTaking(plain.turn, chance),
        recognizer=FaultyRecognition(plain.recognizer, chance),
        chat=FaultyChat(chat, chance),
        synthesizer=FaultySynthesis(synthesizer, chance),
    )


def _answer(draw: random.Random) -> str:
    """Nothing, a few words, or many clauses."""
    words = ["word"] * draw.choice((0, 1, 3, 8, 20, 40))
    return " ".join(f"{word}," if draw.random() < 0.2 else word for word in words)
