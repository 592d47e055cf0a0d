"""Stages that fail at random, and a user who talks at random: for soak tests."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import numpy as np

from workbench.audio import Audio
from workbench.conversation import events as e
from workbench.conversation.scripted import WORD_S, LevelVad
from workbench.conversation.sources import BLOCK_S, Pace
from workbench.conversation.stages import Chat, Recognition, Synthesis, TurnTaking
from workbench.engines.chat.messages import Message
from workbench.engines.turns.detectors import Wait
from workbench.engines.turns.vad import RATE_HZ
from workbench.errors import ModelError, ServiceError

_FOREVER_S = 1e6
_SLOW_S = 3.0
_PATIENCE_S = 60.0  # after which the simulated user says something else


class Faults:
    """Draws what goes wrong: each call fails, hangs or is slow with ``share`` together."""

    def __init__(self, share: float, source: random.Random) -> None:
        self.share, self._source = share, source
        self.injected: dict[str, int] = {}

    async def strike(self, stage: str) -> None:
        """Before the work: nothing, an exception, an endless wait or a long one."""
        if self._source.random() >= self.share:
            return
        kind = self._source.choice(("raises", "hangs", "is slow"))
        name = f"{stage} {kind}"
        self.injected[name] = self.injected.get(name, 0) + 1
        if kind == "raises":
            raise self._source.choice(
                (RuntimeError("out of memory"), ServiceError("an outage", "wait"), ValueError())
            )
        await asyncio.sleep(_FOREVER_S if kind == "hangs" else _SLOW_S)

    def strikes(self, stage: str, share: float) -> bool:
        """Whether something goes wrong now, with ``share``."""
        struck = self._source.random() < share
        if struck:
            self.injected[stage] = self.injected.get(stage, 0) + 1
        return struck


class FaultyVad(LevelVad):
    """Fails for a frame now and then."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def probability(self, frame: np.ndarray) -> float:
        """As ``LevelVad``, or a ModelError."""
        if self._faults.strikes("vad raises", self._faults.share / 100):
            raise ModelError("the detector failed")
        return super().probability(frame)


class FaultyRecognition:
    """A recognizer with faults."""

    def __init__(self, inner: Recognition, faults: Faults) -> None:
        self.name, self._inner, self._faults = inner.name, inner, faults

    async def transcribe(self, audio: Audio) -> str:
        """The inner one's text, unless something goes wrong."""
        await self._faults.strike("recognizer")
        return await self._inner.transcribe(audio)


class FaultyTurnTaking:
    """A turn detector with faults."""

    def __init__(self, inner: TurnTaking, faults: Faults) -> None:
        self.name, self.needs_text, self.silence_s = inner.name, inner.needs_text, inner.silence_s
        self._inner, self._faults = inner, faults

    async def wait(self, transcript: str) -> Wait:
        """The inner one's wait, unless something goes wrong."""
        await self._faults.strike("turn")
        return await self._inner.wait(transcript)


class FaultyChat:
    """A chat model with faults, also in mid-answer."""

    def __init__(self, inner: Chat, faults: Faults) -> None:
        self.name, self._inner, self._faults = inner.name, inner, faults

    async def answer(
        self, messages: Sequence[Message], max_tokens: int
    ) -> AsyncGenerator[str, None]:
        """The inner one's answer, as far as it gets."""
        await self._faults.strike("chat")
        async with aclosing(self._inner.answer(messages, max_tokens)) as pieces:
            async for piece in pieces:
                if self._faults.strikes("chat breaks off", self._faults.share / 10):
                    raise ServiceError("the service broke off", "ask again")
                yield piece


class FaultySynthesis:
    """A synthesizer with faults, also in mid-sentence."""

    def __init__(self, inner: Synthesis, faults: Faults) -> None:
        self.name, self.rate_hz = inner.name, inner.rate_hz
        self._inner, self._faults = inner, faults

    async def speak(self, text: str) -> AsyncGenerator[Audio, None]:
        """The inner one's sound, as far as it gets."""
        await self._faults.strike("synthesizer")
        async with aclosing(self._inner.speak(text)) as chunks:
            async for chunk in chunks:
                if self._faults.strikes("synthesizer breaks off", self._faults.share / 50):
                    raise RuntimeError("a kernel failed")
                yield chunk


class SimulatedUser:
    """Talks for ``minutes``: turns with pauses, coughs, barge-ins, and blocks of garbage.

    Waits for each answer's end, a minute at most. Its ``on_event`` must hear the session's events.
    """

    rate_hz = RATE_HZ
    lost = 0

    def __init__(
        self,
        minutes: float,
        faults: Faults,
        source: random.Random,
        *,
        barge_ins: float = 0.25,
    ) -> None:
        self.seconds = 60 * minutes
        self._faults, self._source, self._barge_ins = faults, source, barge_ins
        self._answer_over = True
        self._interrupt_s: float | None = None  # after so much of the answer

    def on_event(self, event: e.Event) -> None:
        """What it hears of the session."""
        if isinstance(event, e.AudioPlayed) and event.index == 0:
            if self._source.random() < self._barge_ins:
                self._interrupt_s = self._source.uniform(0.05, 2.0)
        elif isinstance(event, e.TurnEnded):
            self._answer_over = False
        elif isinstance(event, e.AttemptEnded) and event.outcome != "cancelled":
            self._answer_over = True

    async def blocks(self) -> AsyncGenerator[np.ndarray, None]:
        """Blocks of 20 ms in real time."""
        self._pace = Pace(self.rate_hz)
        self._said_s = 0.0
        while self._said_s < self.seconds:
            for stretch in self._turn():
                async for block in self._blocks_of(stretch):
                    yield block
            self._answer_over = False
            waited_s = 0.0
            self._interrupt_s = None
            while not self._answer_over and waited_s < _PATIENCE_S:
                async for block in self._blocks_of(self._silence(BLOCK_S)):
                    yield block
                waited_s += BLOCK_S
                if self._interrupt_s is not None:
                    self._interrupt_s -= BLOCK_S
                    if self._interrupt_s <= 0:
                        break

    def _turn(self) -> list[np.ndarray]:
        """Loud and silent stretches of a turn, samples ``[N]`` each."""
        draw = self._source
        if draw.random() < 0.05:
            return [self._loud(0.04), self._silence(1.0)]  # a click
        if draw.random() < 0.03:
            return [self._loud(35.0), self._silence(0.3)]  # a noise that doesn't stop
        parts: list[np.ndarray] = []
        for _ in range(draw.randint(1, 3)):
            parts.append(self._loud(WORD_S * draw.randint(1, 8)))
            parts.append(self._silence(draw.uniform(0.05, 1.2)))
        return parts[:-1]

    def _loud(self, length_s: float) -> np.ndarray:
        return np.full(self._samples(length_s), 0.2, np.float32)

    def _silence(self, length_s: float) -> np.ndarray:
        return np.zeros(self._samples(length_s), np.float32)

    def _samples(self, length_s: float) -> int:
        """Whole blocks, one at least."""
        return max(1, round(length_s / BLOCK_S)) * round(BLOCK_S * self.rate_hz)

    async def _blocks_of(self, stretch: np.ndarray) -> AsyncGenerator[np.ndarray, None]:
        size = round(BLOCK_S * self.rate_hz)
        for first in range(0, len(stretch), size):
            block = stretch[first : first + size]
            await self._pace.said(len(block))
            self._said_s += len(block) / self.rate_hz
            if self._faults.strikes("garbage", self._faults.share / 50):
                block = self._garbage(size)
            yield block

    def _garbage(self, size: int) -> np.ndarray:
        noise = np.random.default_rng(self._source.randrange(1 << 30))
        return self._source.choice(
            (
                np.full(size, np.nan, np.float32),
                np.full(size, np.inf),
                np.zeros((size, 2), np.float32),  # stereo
                np.full(size, 32_767, np.int16),
                np.array(["x"] * size),
                np.zeros(0, np.float32),
                noise.standard_normal(size),
            )
        )
