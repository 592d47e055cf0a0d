"""Microphone and loudspeaker against a sounddevice that is made up."""

import asyncio
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from workbench.audio import Audio
from workbench.conversation.clock import run
from workbench.conversation.sinks import Loudspeaker, Recording
from workbench.conversation.sources import Feed, Microphone
from workbench.errors import ModelError


class Output:
    def __init__(self, **settings):
        self.settings, self.played, self.calls = settings, [], []

    def write(self, samples):
        self.played.append(samples.shape)

    def __getattr__(self, name):
        return lambda: self.calls.append(name)


class Input:
    """Gives three blocks as soon as it is opened, the second with an overflow."""

    def __init__(self, callback, blocksize, **settings):
        self.callback, self.size = callback, blocksize

    def __enter__(self):
        for number in range(3):
            status = SimpleNamespace(input_overflow=number == 1)
            self.callback(np.full((self.size, 1), number, np.float32), self.size, None, status)

    def __exit__(self, *_):
        pass


@pytest.fixture
def device(monkeypatch):
    made = SimpleNamespace(OutputStream=Output, InputStream=Input)
    monkeypatch.setitem(sys.modules, "sounddevice", made)
    return made


def test_the_loudspeaker_gets_each_chunk(device):
    async def work():
        sink = Loudspeaker(24_000)
        await sink.play(Audio(np.zeros(1920), 24_000))
        await sink.close()
        return sink._stream

    stream = run(work)
    assert stream.settings["samplerate"] == 24_000
    assert stream.played == [(480, 1)] * 4
    assert stream.calls == ["start", "close"]


def test_a_chunk_that_is_stopped_ends_with_the_piece_under_way(device):
    """PortAudio's streams must not be aborted while a thread writes to them."""
    writing, release = threading.Event(), threading.Event()

    class Slow(Output):
        def write(self, samples):
            writing.set()
            release.wait(10)
            self.calls.append("written")

    device.OutputStream = Slow

    async def work():
        sink = Loudspeaker(24_000)
        playing = asyncio.ensure_future(sink.play(Audio(np.zeros(1920), 24_000)))
        await asyncio.to_thread(writing.wait, 10)
        playing.cancel()
        await asyncio.sleep(0.05)
        waits = list(sink._stream.calls)
        release.set()
        await asyncio.wait([playing])
        return waits, sink._stream.calls, playing.cancelled()

    waits, calls, cancelled = run(work)
    assert waits == ["start"]
    assert calls == ["start", "written", "abort", "start"]
    assert cancelled


def test_the_microphone_gives_blocks_and_counts_what_was_lost(device):
    async def work():
        source = Microphone()
        blocks = source.blocks()
        found = [await anext(blocks) for _ in range(3)]
        await blocks.aclose()
        return source, found

    source, found = run(work)
    assert [block[0] for block in found] == [0, 1, 2]
    assert all(block.shape == (320,) for block in found)
    assert source.lost == 1


def test_a_device_that_cannot_be_opened_is_told(device):
    def broken(**settings):
        raise RuntimeError("no default output device")

    device.OutputStream = broken
    with pytest.raises(ModelError, match="no default output device"):
        Loudspeaker(24_000)


def test_a_feed_keeps_the_recordings_pace():
    async def work():
        loop, times = asyncio.get_running_loop(), []
        async for block in Feed(Audio(np.zeros(1000), 16_000), block_s=0.02).blocks():
            times.append((len(block), loop.time()))
        return times

    times = run(work, simulated=True)
    assert [size for size, _ in times] == [320, 320, 320, 40]
    assert [at for _, at in times] == pytest.approx([0.02, 0.04, 0.06, 0.0625])


def test_what_is_recorded_has_no_gaps_and_ends_where_it_was_stopped():
    chunk = Audio(np.full(1920, 0.5), 24_000)

    async def work():
        recording = Recording()
        for _ in range(3):
            await recording.play(chunk)
        await asyncio.sleep(1.0)
        playing = asyncio.ensure_future(recording.play(chunk))
        await asyncio.sleep(0.02)
        playing.cancel()
        await asyncio.wait([playing])
        return recording.timeline(24_000, 0.0)

    line = run(work, simulated=True)
    loud = np.flatnonzero(line.samples)
    assert len(loud) == 3 * 1920 + 480
    assert np.all(np.diff(loud[: 3 * 1920]) == 1)
