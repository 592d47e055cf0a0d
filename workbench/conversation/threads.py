"""Blocking engines as stages: each works in a thread of its own.

A stream is read one step at a time, so that it can be left between two steps: whoever stops
listening waits for nothing, and the step under way is the last.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, TypeVar

from workbench.audio import Audio
from workbench.engines.chat.messages import Message
from workbench.engines.turns.detectors import TurnDetector, Wait

T = TypeVar("T")
_END: Any = object()


class EngineThread:
    """Where one engine works; ``workers`` above 1 only for engines that allow it (services).

    On a GPU ``cuda`` gives the thread a CUDA stream of its own, so that the models' kernels don't
    queue behind each other's.
    """

    def __init__(self, name: str, *, workers: int = 1, cuda: bool = False) -> None:
        self.name = name
        self._pool = ThreadPoolExecutor(
            workers, thread_name_prefix=name, initializer=_own_stream if cuda else None
        )
        self.open_streams = 0

    def do(self, work: Callable[[], T]) -> T:
        """Runs ``work`` in the thread and waits; for loading and warming up."""
        return self._pool.submit(work).result()

    async def call(self, work: Callable[[], T]) -> T:
        """Runs ``work`` in the thread. Cancelled, it doesn't wait for what can't be stopped."""
        return await asyncio.wrap_future(self._pool.submit(work))

    async def stream(self, begin: Callable[[], Iterator[T]]) -> AsyncGenerator[T, None]:
        """The items of ``begin()``, which is iterated, and closed, in the thread."""
        steps = _Steps(begin)
        self.open_streams += 1
        try:
            while True:
                item = await asyncio.wrap_future(steps.submit_to(self._pool))
                if item is _END:
                    return
                yield item
        finally:
            self.open_streams -= 1
            if steps.leave():
                self.later(steps.close)

    def later(self, work: Callable[[], object]) -> None:
        """Runs ``work`` in the thread after what waits there; nobody hears how it ends."""
        with contextlib.suppress(RuntimeError):  # the pool is closed: there is nothing to do it for
            self._pool.submit(work)

    def close(self) -> None:
        """Ends the thread once its step under way is over; what waits is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Steps:
    """An iterator that is begun with its first step.

    Left in the middle of a step, it is closed by that step, before anything that waits for the
    thread: the engine is free for whatever comes next.
    """

    def __init__(self, begin: Callable[[], Iterator[Any]]) -> None:
        self._begin = begin
        self._items: Iterator[Any] | None = None
        self._lock = threading.Lock()
        self._working = self._left = False
        self._step: Future[Any] | None = None

    def submit_to(self, pool: ThreadPoolExecutor) -> Future[Any]:
        """Has the next step made."""
        self._working = True
        self._step = step = pool.submit(self._next)
        return step

    def leave(self) -> bool:
        """Nobody wants more; returns whether ``close`` must still be called in the thread."""
        with self._lock:
            self._left = True
            waits = self._step is not None and self._step.cancelled()
            return waits or not self._working

    def close(self) -> None:
        close = getattr(self._items, "close", None)
        if close is not None:
            close()

    def _next(self) -> Any:
        try:
            if self._items is None:
                self._items = iter(self._begin())
            return next(self._items, _END)
        finally:
            with self._lock:
                self._working, left = False, self._left
            if left:
                self.close()


def _own_stream() -> None:
    """Every kernel this thread starts from now on goes to a new CUDA stream."""
    import torch

    torch.cuda.synchronize()
    torch.cuda.set_stream(torch.cuda.Stream())


class _Threaded:
    """A stage whose engine works in ``thread``."""

    def __init__(self, engine: Any, thread: EngineThread, name: str) -> None:
        self.name = name
        self._engine, self._thread = engine, thread

    @property
    def pid(self) -> int | None:
        """The process that the engine has for itself, None where it works in this one."""
        found: int | None = getattr(self._engine, "pid", None)
        return found


class ThreadedRecognition(_Threaded):
    """A recognizer whose ``transcribe`` gives a transcript, or plain text."""

    async def transcribe(self, audio: Audio) -> str:
        """The text of ``audio``."""
        heard = await self._thread.call(lambda: self._engine.transcribe(audio))
        return str(getattr(heard, "text", heard)).strip()


class ThreadedTurnTaking:
    """A turn detector; in the chat model's thread where it asks that model."""

    def __init__(
        self, detector: TurnDetector, thread: EngineThread | None = None, *, needs_text: bool
    ) -> None:
        self.name = detector.name
        self.needs_text = needs_text
        self.silence_s: float | None = getattr(detector, "silence_s", None)
        self._detector, self._thread = detector, thread

    async def wait(self, transcript: str) -> Wait:
        """The silence wanted after ``transcript``."""
        if self._thread is None:
            return self._detector.wait(transcript)
        return await self._thread.call(lambda: self._detector.wait(transcript))


class ThreadedChat(_Threaded):
    """A chat model, greedy."""

    async def answer(
        self, messages: Sequence[Message], max_tokens: int
    ) -> AsyncGenerator[str, None]:
        """The answer's text as it comes."""
        begin = lambda: self._engine.stream(list(messages), max_tokens=max_tokens)  # noqa: E731
        async with aclosing(self._thread.stream(begin)) as chunks:
            async for chunk in chunks:
                yield chunk.text


class ThreadedSynthesis(_Threaded):
    """A synthesizer, with one voice and one seed."""

    def __init__(
        self, engine: Any, thread: EngineThread, name: str, *, rate_hz: int, **request: Any
    ) -> None:
        super().__init__(engine, thread, name)
        self.rate_hz = rate_hz
        self._request = request

    async def speak(self, text: str) -> AsyncGenerator[Audio, None]:
        """The sound of ``text`` as it is made."""
        begin = lambda: self._engine.stream(text, **self._request)  # noqa: E731
        async with aclosing(self._thread.stream(begin)) as chunks:
            async for chunk in chunks:
                yield chunk.audio
