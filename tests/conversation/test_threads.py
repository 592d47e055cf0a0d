"""Blocking engines in threads: streams are left at once, and closed where they were read."""

import asyncio
import threading
import time
from contextlib import aclosing

import pytest

from workbench.conversation.clock import run
from workbench.conversation.threads import EngineThread, ThreadedSynthesis
from workbench.errors import ServiceError


class Engine:
    """Counts the steps it makes, and notes in which thread."""

    def __init__(self, steps=100, step_s=0.0, problem=None):
        self.steps, self.step_s, self.problem = steps, step_s, problem
        self.made = 0
        self.closed = threading.Event()
        self.threads = set()

    def stream(self):
        try:
            for number in range(self.steps):
                self.threads.add(threading.current_thread().name)
                time.sleep(self.step_s)
                if self.problem and number == 2:
                    raise self.problem
                self.made += 1
                yield number
        finally:
            self.threads.add(threading.current_thread().name)
            self.closed.set()


@pytest.fixture
def thread():
    made = EngineThread("engine")
    yield made
    made.close()


def test_a_stream_comes_whole_from_one_thread(thread):
    engine = Engine(5)

    async def work():
        return [item async for item in thread.stream(engine.stream)]

    assert run(work) == [0, 1, 2, 3, 4]
    assert engine.threads == {"engine_0"}


def test_a_stream_that_is_left_ends_with_its_step(thread):
    engine = Engine(step_s=0.02)

    async def work():
        async with aclosing(thread.stream(engine.stream)) as items:
            async for item in items:
                if item == 2:
                    break
        return engine.made

    made = run(work)
    assert engine.closed.wait(5)
    assert engine.made - made <= 1
    assert engine.threads == {"engine_0"}
    assert thread.open_streams == 0


def test_being_cancelled_waits_for_nothing(thread):
    engine = Engine(step_s=0.2)
    release = threading.Event()

    async def work():
        async def listen():
            async for _ in thread.stream(engine.stream):
                pass

        listener = asyncio.create_task(listen())
        await asyncio.sleep(0.05)
        listener.cancel()
        await asyncio.wait([listener])
        left = engine.closed.is_set()
        blocked = asyncio.create_task(thread.call(release.wait))
        await asyncio.sleep(0)
        blocked.cancel()
        await asyncio.wait([blocked])
        release.set()
        return left, blocked.cancelled(), await thread.call(lambda: "free again")

    left_before_the_step_was_over, cancelled, answer = run(work)
    assert not left_before_the_step_was_over
    assert cancelled
    assert answer == "free again"
    assert engine.closed.is_set()
    assert engine.made <= 1


def test_a_stream_that_is_left_is_closed_before_the_next_request(thread):
    """Left in the middle of a step: what is asked at once finds the engine free."""
    engine = Engine(step_s=0.1)

    async def work():
        async def listen():
            async for _ in thread.stream(engine.stream):
                pass

        listener = asyncio.create_task(listen())
        await asyncio.sleep(0.05)
        listener.cancel()
        await asyncio.wait([listener])
        return await thread.call(engine.closed.is_set)

    assert run(work)


def test_a_step_that_waits_for_the_thread_is_never_made(thread):
    engine, busy, release = Engine(), threading.Event(), threading.Event()

    async def work():
        async with aclosing(thread.stream(engine.stream)) as items:
            await anext(items)
            blocked = asyncio.ensure_future(thread.call(lambda: (busy.set(), release.wait())))
            await asyncio.sleep(0)
            waits = asyncio.ensure_future(anext(items))
            await asyncio.to_thread(busy.wait)
            waits.cancel()
            await asyncio.wait([waits])
            release.set()
            await blocked
        return await thread.call(engine.closed.is_set)

    assert run(work)
    assert engine.made == 1


def test_an_engines_error_comes_through(thread):
    engine = Engine(problem=ServiceError("broke off"))

    async def work():
        found = []
        with pytest.raises(ServiceError, match="broke off"):
            async for item in thread.stream(engine.stream):
                found.append(item)
        return found

    assert run(work) == [0, 1]
    assert engine.closed.is_set()


def test_a_barge_in_leaves_the_real_engine_within_a_frame(tiny_engine, thread):
    """The step under way is the last, and the engine is free for the next request."""
    frames = 0
    inner = tiny_engine._generator.frames

    def counted(*args, **settings):
        nonlocal frames
        for frame in inner(*args, **settings):
            frames += 1
            yield frame

    voice = ThreadedSynthesis(
        tiny_engine, thread, "tiny", rate_hz=tiny_engine.rate_hz, seed=0, max_frames=40
    )

    async def work():
        heard = 0
        async with aclosing(voice.speak("good morning")) as chunks:
            async for chunk in chunks:
                assert chunk.duration_s == pytest.approx(0.08)
                heard += 1
                if heard == 3:
                    break
        again = [chunk async for chunk in voice.speak("good morning")]
        return heard, len(again)

    tiny_engine._generator.frames = counted
    try:
        heard, again = run(work)
    finally:
        tiny_engine._generator.frames = inner
    assert heard == 3
    assert 3 <= frames - again <= heard + 2, "a frame under way, and the one that tells the end"
