"""Where the user's sound comes from: a recording fed in real time, or a microphone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Protocol

import numpy as np

from workbench.audio import Audio
from workbench.conversation.sinks import opened
from workbench.engines.turns.vad import RATE_HZ

BLOCK_S = 0.02  # what a microphone gives at a time
_BACKLOG = 250  # blocks of the microphone that may wait: five seconds


class Source(Protocol):
    """Gives blocks of samples ``[N]`` float32 at ``rate_hz``, each when it has been said.

    ``lost`` counts blocks that nobody fetched in time.
    """

    rate_hz: int
    lost: int

    def blocks(self) -> AsyncGenerator[np.ndarray, None]:
        """The blocks in order; ends with the source."""
        ...


class Feed:
    """A recording as if it were spoken now: each block comes when its last sample is due.

    It is resampled to ``rate_hz`` as a whole first.
    """

    def __init__(self, audio: Audio, *, rate_hz: int = RATE_HZ, block_s: float = BLOCK_S) -> None:
        self.audio = audio.resampled(rate_hz)
        self.rate_hz = rate_hz
        self.lost = 0
        self._block = max(1, round(block_s * rate_hz))

    async def blocks(self) -> AsyncGenerator[np.ndarray, None]:
        """Blocks at the recording's own speed."""
        pace = Pace(self.rate_hz)
        for first in range(0, len(self.audio), self._block):
            block = self.audio.samples[first : first + self._block]
            await pace.said(len(block))
            yield block


class Pace:
    """Waits until samples of a steady stream have been said; late ones come at once."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._begin_s = asyncio.get_running_loop().time()
        self._samples = 0

    async def said(self, samples: int) -> None:
        """Returns when the next ``samples`` are through."""
        self._samples += samples
        due_s = self._begin_s + self._samples / self._rate_hz
        await asyncio.sleep(max(0.0, due_s - asyncio.get_running_loop().time()))


class Microphone:
    """The default input device, through sounddevice.

    Raises ModelError where sounddevice or a device is missing, when ``blocks`` is begun.
    """

    def __init__(self, rate_hz: int = RATE_HZ) -> None:
        self.rate_hz = rate_hz
        self.lost = 0

    async def blocks(self) -> AsyncGenerator[np.ndarray, None]:
        """Blocks as the device gives them, without end."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Queue[np.ndarray] = asyncio.Queue(_BACKLOG)

        def put(block: np.ndarray) -> None:
            if waiting.full():
                self.lost += 1
            else:
                waiting.put_nowait(block)

        def heard(block: np.ndarray, frames: int, time: Any, status: Any) -> None:
            if status.input_overflow:
                loop.call_soon_threadsafe(self._lose)
            loop.call_soon_threadsafe(put, block[:, 0].copy())

        stream = opened(
            "InputStream", self.rate_hz, callback=heard, blocksize=round(BLOCK_S * self.rate_hz)
        )
        with stream:
            while True:
                yield await waiting.get()

    def _lose(self) -> None:
        self.lost += 1
