"""One attempt at an answer, stage by stage: recognize, judge, think, speak, play.

The stages hand on through bounded queues, so that none runs far ahead of the next. In serial mode
each hands on everything at once, at its end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from workbench.audio import Audio
from workbench.conversation import events as e
from workbench.conversation.attempt import Attempt
from workbench.conversation.clauses import ClauseCutter
from workbench.conversation.settings import Settings
from workbench.conversation.sinks import Sink
from workbench.conversation.stages import Stages
from workbench.engines.chat.messages import Message
from workbench.engines.turns.detectors import Wait
from workbench.errors import ModelError, WorkbenchError

T = TypeVar("T")
Emit = Callable[..., None]  # a type of event and its fields


class StageError(Exception):
    """A stage has failed, and the trace says so already."""


@dataclass(frozen=True)
class _Sound:
    """A chunk on its way to the player, with the clause where it is that clause's first."""

    audio: Audio
    clause: str = ""


class Answering:
    """Runs attempts on ``stages``; ``remembered`` gives the conversation before a text."""

    def __init__(
        self,
        stages: Stages,
        settings: Settings,
        sink: Sink,
        emit: Emit,
        remembered: Callable[[str], list[Message]],
    ) -> None:
        self._stages, self._settings, self._sink = stages, settings, sink
        self._emit, self._remembered = emit, remembered

    async def run(self, attempt: Attempt) -> None:
        """The whole attempt; sets its outcome. Never raises but when it is cancelled."""
        self._emit(e.AttemptStarted, attempt=attempt.number)
        try:
            attempt.outcome = await self._answer(attempt)
        except BaseExceptionGroup as several:
            # A stage's failure is told; anything else is a fault of ours and ends the session.
            if several.split(StageError)[1] is not None:
                raise
            attempt.outcome = "failed"
        finally:
            outcome = attempt.outcome or attempt.stopped or "closed"
            self._emit(e.AttemptEnded, attempt=attempt.number, outcome=outcome)

    async def _answer(self, attempt: Attempt) -> e.Answer:
        settings, turn = self._settings, self._stages.turn
        async with asyncio.TaskGroup() as group:
            heard = False
            undecided = not attempt.confirmed.is_set()
            if undecided and not turn.needs_text:
                group.create_task(self._judge(attempt))
            if undecided and (turn.needs_text or settings.speculative):
                attempt.text = await self._recognize(attempt)
                heard = True
            if undecided and turn.needs_text:
                group.create_task(self._judge(attempt))
            if not settings.speculative:
                await attempt.confirmed.wait()
            if not heard:
                attempt.text = await self._recognize(attempt)
            if attempt.text == "":
                await attempt.confirmed.wait()
                return "nothing heard"
            clauses: asyncio.Queue[str | None] = asyncio.Queue(settings.clauses_ahead)
            sounds: asyncio.Queue[_Sound | None] = asyncio.Queue(settings.chunks_ahead)
            group.create_task(self._think(attempt, clauses))
            group.create_task(self._speak(attempt, clauses, sounds))
            played = await self._play(attempt, sounds)
        return "spoken" if played else "failed"

    # -- Hearing ---------------------------------------------------------------------------------

    async def _recognize(self, attempt: Attempt) -> str | None:
        """The turn's text, None where the recognizer fails."""
        try:
            async with self._stage(attempt, "recognizer") as done:
                async with asyncio.timeout(self._settings.limits.recognizer_s):
                    text = await self._stages.recognizer.transcribe(attempt.audio)
                done(text)
                return text
        except StageError:
            return None

    async def _judge(self, attempt: Attempt) -> None:
        """Sets how long this silence must last."""
        needs, text = self._stages.turn.needs_text, attempt.text
        wait = Wait(self._settings.fallback_silence_s)
        if not needs or text is not None:
            # Where it fails, the trace says so, and the wait it tells is the fallback's.
            with contextlib.suppress(StageError):
                async with self._stage(attempt, "turn", text or ""):
                    async with asyncio.timeout(self._settings.limits.turn_s):
                        wait = await self._stages.turn.wait(text or "")
        self._emit(
            e.TurnJudged,
            attempt=attempt.number,
            wait_ms=1000 * wait.silence_s,
            probability=wait.probability,
        )
        attempt.wait = wait

    # -- Thinking --------------------------------------------------------------------------------

    async def _think(self, attempt: Attempt, clauses: asyncio.Queue[str | None]) -> None:
        """The answer's clauses as they come; in serial mode all of it as one."""
        whole: list[str] = []

        async def hand_on(found: list[str]) -> None:
            for clause in found:
                if self._settings.overlapped:
                    self._emit(e.ClauseReady, attempt=attempt.number, text=clause)
                    await clauses.put(clause)
                else:
                    whole.append(clause)

        cutter = ClauseCutter()
        if attempt.text is None:
            await hand_on([self._settings.not_understood])
        else:
            try:
                async with self._stage(attempt, "chat", attempt.text) as done:
                    said = ""
                    messages = self._remembered(attempt.text)
                    answer = self._stages.chat.answer(messages, self._settings.max_tokens)
                    async with aclosing(answer):
                        while (
                            text := await _next(answer, self._settings.limits.chat_s)
                        ) is not None:
                            if not said:
                                self._emit(e.FirstToken, attempt=attempt.number)
                            said += text
                            await hand_on(cutter.feed(text))
                    done(said)
                    if not any(map(str.isalnum, said)):
                        raise ModelError("the chat model answered nothing", "ask something else")
                    await hand_on([rest] if (rest := cutter.rest()) else [])
            except StageError:
                rest = cutter.rest()
                await hand_on([*([rest] if rest else []), self._settings.no_answer])
        if whole:
            text = " ".join(whole)
            self._emit(e.ClauseReady, attempt=attempt.number, text=text)
            await clauses.put(text)
        await clauses.put(None)

    # -- Speaking --------------------------------------------------------------------------------

    async def _speak(
        self,
        attempt: Attempt,
        clauses: asyncio.Queue[str | None],
        sounds: asyncio.Queue[_Sound | None],
    ) -> None:
        """Sound of each clause; one that fails is left out, and the trace says so."""
        made = 0

        async def hand_on(sound: _Sound) -> None:
            nonlocal made
            self._emit(
                e.AudioReady,
                attempt=attempt.number,
                index=made,
                audio_ms=1000 * sound.audio.duration_s,
            )
            made += 1
            await sounds.put(sound)

        while (clause := await clauses.get()) is not None:
            whole: list[_Sound] = []
            first = clause
            with contextlib.suppress(StageError):
                async with (
                    self._stage(attempt, "synthesizer", clause),
                    aclosing(self._stages.synthesizer.speak(clause)) as chunks,
                ):
                    while (
                        audio := await _next(chunks, self._settings.limits.synthesizer_s)
                    ) is not None:
                        sound, first = _Sound(audio, first), ""
                        if self._settings.overlapped:
                            await hand_on(sound)
                        else:
                            whole.append(sound)
            for sound in whole:
                await hand_on(sound)
        await sounds.put(None)

    async def _play(self, attempt: Attempt, sounds: asyncio.Queue[_Sound | None]) -> int:
        """Plays what comes, once the turn is over; returns the number of chunks played."""
        await attempt.confirmed.wait()
        sound = await sounds.get()
        if sound is None:
            return 0
        played = 0
        async with self._stage(attempt, "player"):
            while sound is not None:
                if sound.clause:
                    attempt.said.append(sound.clause)
                length_s = sound.audio.duration_s
                self._emit(
                    e.AudioPlayed, attempt=attempt.number, index=played, audio_ms=1000 * length_s
                )
                played += 1
                async with asyncio.timeout(length_s + self._settings.limits.player_s):
                    await self._sink.play(sound.audio)
                sound = await sounds.get()
        return played

    # -- Stages ----------------------------------------------------------------------------------

    @asynccontextmanager
    async def _stage(
        self, attempt: Attempt, stage: e.Stage, text: str = ""
    ) -> AsyncGenerator[Callable[[str], None]]:
        """Tells when the stage starts and ends; its failure becomes a StageError."""
        result = ""

        def done(made: str) -> None:
            nonlocal result
            result = made

        self._emit(e.StageStarted, attempt=attempt.number, stage=stage, text=text)
        outcome: e.Outcome = "done"
        try:
            yield done
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except TimeoutError as problem:
            outcome = "timed out"
            self._failed(attempt, stage, f"the {stage} took too long", "use a faster model")
            raise StageError(stage) from problem
        except Exception as problem:
            outcome = "failed"
            what, remedy = explained(problem)
            self._failed(attempt, stage, what, remedy)
            raise StageError(stage) from problem
        finally:
            self._emit(
                e.StageEnded, attempt=attempt.number, stage=stage, outcome=outcome, text=result
            )

    def _failed(self, attempt: Attempt, stage: e.Stage, error: str, remedy: str) -> None:
        self._emit(e.StageFailed, attempt=attempt.number, stage=stage, error=error, remedy=remedy)


def explained(problem: BaseException) -> tuple[str, str]:
    """An error in words, and what to do about it."""
    if isinstance(problem, WorkbenchError):
        return problem.what, problem.remedy
    return f"{type(problem).__name__}: {problem}", ""


async def _next(items: AsyncGenerator[T, Any], limit_s: float) -> T | None:
    """The next item, None at the end; TimeoutError after ``limit_s``."""
    async with asyncio.timeout(limit_s):
        return await anext(items, None)
