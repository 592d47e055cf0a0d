"""A session: listens without a break, and starts, confirms and stops answers.

trace = Trace()
session = Session(stages, Settings(mode="overlapped"), on_event=trace.append)
await session.run(Feed(question), Recording())
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import numpy as np

from workbench.conversation import events as e
from workbench.conversation.answering import Answering, explained
from workbench.conversation.attempt import Attempt
from workbench.conversation.hearing import Hearing, TurnAudio, silence_like, sound_of
from workbench.conversation.memory import Memory
from workbench.conversation.partial import PartialTexts
from workbench.conversation.settings import Settings
from workbench.conversation.sinks import Sink
from workbench.conversation.sources import BLOCK_S, Pace, Source
from workbench.conversation.stages import Stages
from workbench.engines.turns.activity import Activity
from workbench.errors import InputError, WorkbenchError

OnEvent = Callable[[e.Event], None]


class Session:
    """One conversation on ``stages``, which it doesn't close; ``on_event`` gets every event.

    What a stage does wrong becomes an event, and an answer that says so; the session lives on. It
    ends with its source, with ``close``, or where the ears themselves are out. ``began_s`` is when
    it began, on the event loop's clock.
    """

    def __init__(
        self,
        stages: Stages,
        settings: Settings | None = None,
        *,
        on_event: OnEvent = lambda event: None,
    ) -> None:
        self.stages = stages
        self.settings = settings or Settings()
        self._on_event = on_event
        self._memory = Memory(self.settings)
        self._turn = 0
        self._in_turn = False  # a turn is open
        self._talking = False  # and its speaker isn't pausing
        self._deaf = False  # until the next silence: after a turn that was cut for its length
        self._attempts = 0
        self._attempt: Attempt | None = None
        self._closing = False

    @property
    def busy(self) -> bool:
        """Whether a turn is open or an answer under way."""
        return self._in_turn or self._attempt is not None

    async def run(self, source: Source, sink: Sink) -> None:
        """Listens to ``source`` and answers into ``sink`` until the source has ended, and with it
        the last answer.

        Raises InputError for a source of another rate than the detector's, ModelError where the
        voice-activity detector fails for good.
        """
        loop = asyncio.get_running_loop()
        self.began_s = loop.time()
        self.hearing = Hearing(self.stages.vad, self._now_ms, self._vad_failed)
        if source.rate_hz != self.hearing.rate_hz:
            raise InputError(
                f"a source of {source.rate_hz} Hz for {self.stages.vad.name}",
                f"give it at {self.hearing.rate_hz} Hz",
            )
        self._audio = TurnAudio(source.rate_hz, self.settings.preroll_s)
        self._answering = Answering(
            self.stages, self.settings, sink, self._emit, self._memory.with_user
        )
        self._partials = PartialTexts(self.stages.recognizer, self.settings, self._emit)
        reason = "closed"
        self._emit(e.SessionStarted, mode=self.settings.mode, stages=self.stages.names)
        try:
            reason = await self._listen(source)
        except WorkbenchError as problem:
            reason = problem.what
            raise
        finally:
            await self._partials.stop()
            await self._stop("closed")
            await sink.close()
            self._emit(e.SessionEnded, reason=reason, vad_frame_ms=self.hearing.vad_frame_ms)

    def close(self) -> None:
        """Ends the session with the next block of sound."""
        self._closing = True

    # -- Listening -------------------------------------------------------------------------------

    async def _listen(self, source: Source) -> str:
        """Hears the source to its end, then silence until the last answer; says why it ended."""
        reason = "the source ended"
        async with aclosing(source.blocks()) as blocks:
            lost = 0
            while not self._closing:
                try:
                    block = await anext(blocks, None)
                except WorkbenchError:
                    raise
                except Exception as problem:  # a device that was unplugged, a broken stream
                    self._stage_failed("source", problem)
                    reason = "the source failed"
                    break
                if block is None:
                    break
                await self._hear(block)
                if source.lost > lost:
                    late = InputError(f"{source.lost - lost} blocks of sound were lost")
                    self._stage_failed("source", late)
                    lost = source.lost
        pace = Pace(source.rate_hz)
        quiet = np.zeros(round(BLOCK_S * source.rate_hz), np.float32)
        while self.busy and not self._closing:
            await pace.said(len(quiet))
            await self._hear(quiet)
        return "closed" if self._closing else reason

    async def _hear(self, block: np.ndarray) -> None:
        """One block of sound; it never waits for another stage."""
        rate_hz = self.hearing.rate_hz
        try:
            piece = sound_of(block, rate_hz)
        except (InputError, TypeError, ValueError) as problem:
            self._stage_failed("source", problem)
            piece = silence_like(block, rate_hz)
        self._audio.add(piece)
        for activity in self.hearing.hear(piece):
            if activity.speaking:
                await self._on_speech(activity)
            else:
                await self._on_silence(activity)
        self._check_attempt()

    async def _on_speech(self, now: Activity) -> None:
        if self._deaf:
            return
        if not self._talking:
            if not self._in_turn and not await self._begin_turn():
                return
            self._talking = True
            onset_s = now.end_s - self.hearing.onset_s
            self._emit(e.SpeechStarted, onset_ms=self.hearing.clock_ms(onset_s))
            if self._attempt is not None:  # a pause only: what was prepared is of no use
                await self._stop("cancelled")
        self._partials.follow(self._audio)
        if self._audio.length_s > self.settings.max_turn_s:
            await self._partials.stop()
            self._end_turn(now.end_s, forced=True)
            self._deaf = True

    async def _begin_turn(self) -> bool:
        """Opens a turn, over an answer if need be; False where that isn't wanted."""
        self._check_attempt()
        if self._attempt is not None:
            if not self.settings.barge_in:
                return False
            self._emit(e.BargeIn, attempt=self._attempt.number)
            await self._stop("interrupted")
        self._turn += 1
        self._in_turn = True
        self._audio.begin()
        self._partials.begin()
        return True

    async def _on_silence(self, now: Activity) -> None:
        self._deaf = False
        if not self._in_turn or now.speech_end_s is None:
            return
        if self._talking:
            self._talking = False
            await self._partials.stop()
            speech_end_ms = self.hearing.clock_ms(now.speech_end_s)
            self._emit(e.SpeechPaused, speech_end_ms=speech_end_ms)
        if self._attempt is None and now.silence_s + 1e-9 >= self.settings.pause_s:
            self._begin_attempt(now.speech_end_s)
        wait = self._attempt.wait if self._attempt else None
        # Frames are exact multiples of their length only up to rounding.
        if wait is not None and now.silence_s + 1e-9 >= wait.silence_s:
            self._end_turn(now.speech_end_s)

    # -- Answers ---------------------------------------------------------------------------------

    def _begin_attempt(self, speech_end_s: float) -> Attempt:
        self._attempts += 1
        attempt = Attempt(self._attempts, speech_end_s, self._audio.audio())
        attempt.task = asyncio.get_running_loop().create_task(
            self._answering.run(attempt), name=f"attempt {attempt.number}"
        )
        self._attempt = attempt
        return attempt

    def _end_turn(self, speech_end_s: float, *, forced: bool = False) -> None:
        """The turn is over: what was prepared may be said."""
        speech_end_ms = self.hearing.clock_ms(speech_end_s)
        self._emit(e.TurnEnded, speech_end_ms=speech_end_ms, forced=forced)
        attempt = self._attempt or self._begin_attempt(speech_end_s)
        attempt.confirmed.set()
        self._in_turn = self._talking = False
        self._audio.end()

    def _check_attempt(self) -> None:
        """Forgets an attempt that is over, and remembers what was said."""
        attempt = self._attempt
        if attempt is not None and attempt.task is not None and attempt.task.done():
            self._attempt = None
            self._memory.add(attempt)
            attempt.task.result()  # an error of ours, which no stage made, ends the session

    async def _stop(self, why: e.Answer) -> None:
        """Ends the attempt under way, if there is one; its engines end with their step."""
        attempt, self._attempt = self._attempt, None
        if attempt is None or attempt.task is None:
            return
        attempt.stopped = why
        attempt.task.cancel()
        await asyncio.wait([attempt.task])
        self._memory.add(attempt)
        if not attempt.task.cancelled():
            attempt.task.result()

    # -- Events ----------------------------------------------------------------------------------

    def _now_ms(self) -> float:
        return 1000 * (asyncio.get_running_loop().time() - self.began_s)

    def _emit(self, kind: type[e.Event], **fields: Any) -> None:
        self._on_event(kind(at_ms=self._now_ms(), turn=self._turn, **fields))

    def _vad_failed(self, problem: Exception) -> None:
        self._stage_failed("vad", problem)

    def _stage_failed(self, stage: e.Stage, problem: Exception) -> None:
        what, remedy = explained(problem)
        self._emit(e.StageFailed, attempt=0, stage=stage, error=what, remedy=remedy)
