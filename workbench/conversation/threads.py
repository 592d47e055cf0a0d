"""Blocking engines as stages: each works in a thread of its own.

A stream is read one step at a time, so that it can be left between two steps: whoever stops
listening waits for nothing, and the step under way is the last.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, Protocol, TypeVar

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
        step: Future[T] | None = None
        self.open_streams += 1
        try:
            while True:
                step = self._pool.submit(steps.next)
                item = await asyncio.wrap_future(step)
                if item is _END:
                    return
                yield item
        finally:
            self.open_streams -= 1
            if step is not None:
                step.add_done_callback(lambda _: self._submit(steps.close))

    def close(self) -> None:
        """Ends the thread once its step under way is over; what waits is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, work: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the pool is closed: there is nothing to free for
            self._pool.submit(work)


class _Steps:
    """An iterator that is begun with its first step."""

    def __init__(self, begin: Callable[[], Iterator[Any]]) -> None:
        self._begin = begin
        self._items: Iterator[Any] | None = None

    def next(self) -> Any:
        if self._items is None:
            self._items = iter(self._begin())
        return next(self._items, _END)

    def close(self) -> None:
        close = getattr(self._items, "close", None)
        if close is not None:
            close()


def _own_stream() -> None:
    """Every kernel this thread starts from now on goes to a new CUDA stream."""
    import torch

    torch.cuda.synchronize()
    torch.cuda.set_stream(torch.cuda.Stream())


class _Transcribes(Protocol):
    def transcribe(self, audio: Audio) -> Any: ...


class ThreadedRecognition:
    """A recognizer whose ``transcribe`` gives a transcript, or plain text."""

    def __init__(self, engine: _Transcribes, thread: EngineThread, name: str) -> None:
        self.name = name
        self._engine, self._thread = engine, thread

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


class ThreadedChat:
    """A chat model, greedy."""

    def __init__(self, engine: Any, thread: EngineThread, name: str) -> None:
        self.name = name
        self._engine, self._thread = engine, thread

    async def answer(
        self, messages: Sequence[Message], max_tokens: int
    ) -> AsyncGenerator[str, None]:
        """The answer's text as it comes."""
        begin = lambda: self._engine.stream(list(messages), max_tokens=max_tokens)  # noqa: E731
        async with aclosing(self._thread.stream(begin)) as chunks:
            async for chunk in chunks:
                yield chunk.text


class ThreadedSynthesis:
    """A synthesizer, with one voice and one seed."""

    def __init__(
        self, engine: Any, thread: EngineThread, name: str, *, rate_hz: int, **request: Any
    ) -> None:
        self.name = name
        self.rate_hz = rate_hz
        self._engine, self._thread, self._request = engine, thread, request

    async def speak(self, text: str) -> AsyncGenerator[Audio, None]:
        """The sound of ``text`` as it is made."""
        begin = lambda: self._engine.stream(text, **self._request)  # noqa: E731
        async with aclosing(self._thread.stream(begin)) as chunks:
            async for chunk in chunks:
                yield chunk.audio
