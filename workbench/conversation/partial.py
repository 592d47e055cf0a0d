"""The text so far while the user still speaks, by local agreement of successive runs."""

from __future__ import annotations

import asyncio

from workbench.audio import Audio
from workbench.conversation import events as e
from workbench.conversation.answering import Emit, explained
from workbench.conversation.hearing import TurnAudio
from workbench.conversation.settings import Settings
from workbench.conversation.stages import Recognition
from workbench.engines.asr.partials import LocalAgreement


class PartialTexts:
    """Recognizes the growing turn, one run at a time; a run that isn't due yet is left out.

    Off in serial mode. The recognizer is the one that writes the turn down at its end, so a run
    that is under way then is waited for; where runs are slow they come at longer steps, so that it
    rests at least half of the time.
    """

    def __init__(self, recognizer: Recognition, settings: Settings, emit: Emit) -> None:
        self._recognizer, self._emit = recognizer, emit
        self._step_s = settings.partial_step_s if settings.overlapped else None
        self._limit_s = settings.limits.recognizer_s
        self._task: asyncio.Task[None] | None = None
        self._took_s = 0.0
        self.begin()

    def begin(self) -> None:
        """A new turn."""
        self._heard_s = 0.0
        self._agreement = LocalAgreement()

    def follow(self, sound: TurnAudio) -> None:
        """Starts a run where enough is new and the one before is through."""
        if self._step_s is None or (self._task is not None and not self._task.done()):
            return
        if sound.length_s - self._heard_s >= max(self._step_s, 2 * self._took_s):
            self._heard_s = sound.length_s
            self._task = asyncio.get_running_loop().create_task(self._run(sound.audio()))

    async def stop(self) -> None:
        """Gives up the run under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _run(self, audio: Audio) -> None:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        try:
            async with asyncio.timeout(self._limit_s):
                text = await self._recognizer.transcribe(audio)
        except Exception as problem:  # the turn's own recognition will tell whether it lasts
            what, remedy = explained(problem)
            if isinstance(problem, TimeoutError):
                what = "the recognizer took too long"
            self._emit(e.StageFailed, attempt=0, stage="recognizer", error=what, remedy=remedy)
            return
        self._took_s = loop.time() - started_s
        self._agreement.add(text.split())
        confirmed = self._agreement.confirmed
        self._emit(
            e.PartialText,
            confirmed=" ".join(confirmed),
            tentative=" ".join(text.split()[len(confirmed) :]),
            took_ms=1000 * self._took_s,
        )
