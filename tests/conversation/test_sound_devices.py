"""Microphone and loudspeaker against a sounddevice that is made up."""

import asyncio
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from workbench.audio import Audio
from workbench.conversation import sinks
from workbench.conversation.clock import run
from workbench.conversation.sinks import Loudspeaker, Recording
from workbench.conversation.sources import Feed, Microphone
from workbench.errors import ModelError


class Output:
    """Asks for 10 ms of sound every 2 ms, from a thread of its own, as long as it runs."""

    asks = True

    def __init__(self, callback, **settings):
        self.settings, self.calls = settings, []
        self.played = [np.zeros(240, np.float32)]
        self._callback, self._over = callback, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self):
        self.calls.append("start")
        self._thread.start()

    def close(self):
        self.calls.append("close")
        self._over.set()
        self._thread.join()

    def _run(self):
        while self.asks and not self._over.wait(0.002):
            out = np.full((240, 1), np.nan, np.float32)
            self._callback(out, 240, None, None)
            self.played.append(out[:, 0])

    @property
    def heard(self):
        """All that isn't silence, one after another."""
        line = np.concatenate(self.played)
        return line[line != 0]


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


def test_the_loudspeaker_plays_chunks_one_after_another(device):
    first, second = (np.arange(1, 1001) + start for start in (0, 1000))

    async def work():
        sink = Loudspeaker(24_000)
        for samples in (first, second, np.zeros(0)):
            await sink.play(Audio(samples / 4096, 24_000))
        await asyncio.to_thread(_until, lambda: not sink._waiting)
        await sink.close()
        return sink._stream

    stream = run(work)
    assert stream.settings["samplerate"] == 24_000
    assert np.array_equal(stream.heard * 4096, np.concatenate((first, second)))
    assert not np.isnan(np.concatenate(stream.played)).any()  # silence where nothing waits
    assert stream.calls == ["start", "close"]


def test_an_answer_that_is_cut_off_is_dropped_and_the_device_left_alone(device):
    async def work():
        sink = Loudspeaker(24_000)
        playing = asyncio.ensure_future(sink.play(Audio(np.full(240_000, 0.5), 24_000)))
        await asyncio.to_thread(_until, lambda: 0.5 in sink._stream.played[-1])
        playing.cancel()
        await asyncio.wait([playing])
        left = len(sink._waiting)
        await sink.play(Audio(np.full(480, 0.25), 24_000))
        await asyncio.to_thread(_until, lambda: 0.25 in sink._stream.played[-1])
        await sink.close()
        return left, playing.cancelled(), sink._stream

    left, cancelled, stream = run(work)
    assert left == 0
    assert cancelled
    assert 0 < (stream.heard == 0.5).sum() < 240_000
    assert stream.calls == ["start", "close"]


def test_a_device_that_stops_asking_is_told(device, monkeypatch):
    monkeypatch.setattr(sinks, "_STUCK_S", 0.05)
    monkeypatch.setattr(Output, "asks", False)

    async def work():
        sink = Loudspeaker(24_000)
        try:
            await sink.play(Audio(np.zeros(4800), 24_000))
        finally:
            await sink.close()

    with pytest.raises(ModelError, match="taken no sound"):
        run(work)


def _until(holds):
    ends = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.001)


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
