"""Where an answer's sound goes: a recording that keeps real time, or a loudspeaker."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Any, Protocol

import numpy as np

from workbench.audio import Audio
from workbench.errors import ModelError


class Sink(Protocol):
    """Takes chunks one by one."""

    async def play(self, audio: Audio) -> None:
        """Plays a chunk; returns when it is time for the next. Cancelled, it falls silent."""
        ...

    async def close(self) -> None:
        """Frees the device."""
        ...


_STUCK_S = 1.0  # a device that asks for nothing so long has stopped
_LEAD_S = 0.04  # a device's buffer: the next chunk is asked for so long before it is due


class Recording:
    """Keeps what is played, with when; chunks that come in time follow each other without a gap.

    ``paced=False`` doesn't wait that long, where nobody listens: what is kept is what a player
    would have played. ``keep=False`` keeps nothing, for hours.
    """

    def __init__(self, *, paced: bool = True, keep: bool = True) -> None:
        self.chunks: list[tuple[float, Audio]] = []  # loop time in s, sound
        self._paced, self._keep = paced, keep
        self._free_s = 0.0

    async def play(self, audio: Audio) -> None:
        """Waits as long as the chunk lasts."""
        now_s = asyncio.get_running_loop().time()
        begin_s = max(now_s, self._free_s)
        self._free_s = begin_s + audio.duration_s
        kept = audio
        try:
            if self._paced:
                await asyncio.sleep(max(0.0, self._free_s - _LEAD_S - now_s))
        except asyncio.CancelledError:
            heard_s = max(0.0, asyncio.get_running_loop().time() - begin_s)
            kept = Audio(audio.samples[: round(heard_s * audio.rate_hz)], audio.rate_hz)
            self._free_s = 0.0
            raise
        finally:
            if self._keep:
                self.chunks.append((begin_s, kept))

    async def close(self) -> None:
        """Holds nothing."""

    def timeline(self, rate_hz: int, begin_s: float) -> Audio:
        """All that was played since loop time ``begin_s``, with the silences between."""
        placed = [
            (round((at_s - begin_s) * rate_hz), audio.resampled(rate_hz).samples)
            for at_s, audio in self.chunks
        ]
        length = max((at + len(samples) for at, samples in placed), default=0)
        line = np.zeros(max(length, 0), np.float32)
        for at, samples in placed:
            line[max(at, 0) : at + len(samples)] = samples[max(-at, 0) :]
        return Audio(line, rate_hz)


class Loudspeaker:
    """Plays through sounddevice. Use headphones: nothing here takes our own voice out of the
    microphone's sound again.

    The device asks for sound by a call from its own thread and gets what waits, or silence. So an
    answer that is cut off needs no word with the device: what waits is dropped.

    Raises ModelError where sounddevice or a device is missing.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._waiting: deque[np.ndarray] = deque()
        self._lock = threading.Lock()
        self._stream = opened("OutputStream", rate_hz, callback=self._fill)
        self._stream.start()

    async def play(self, audio: Audio) -> None:
        """Lets the chunk wait its turn; returns shortly before all that waits has been taken.

        Raises ModelError where the device stops asking.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            self._waiting.append(audio.samples)
        until_s = loop.time() + self._ahead_s() + _STUCK_S
        try:
            while (ahead_s := self._ahead_s()) > _LEAD_S:
                if loop.time() > until_s:
                    raise ModelError(
                        f"the loudspeaker has taken no sound for {_STUCK_S:g} s",
                        "see whether the device is still there and free",
                    )
                await asyncio.sleep(ahead_s - _LEAD_S)
        except BaseException:
            with self._lock:
                self._waiting.clear()
            raise

    async def close(self) -> None:
        """Closes the device."""
        self._stream.close()

    def _ahead_s(self) -> float:
        """How much sound waits."""
        with self._lock:
            return sum(map(len, self._waiting)) / self._rate_hz

    def _fill(self, out: np.ndarray, frames: int, _time: Any, _status: Any) -> None:
        """The device's call: the next ``frames`` samples into ``out`` ``[frames, 1]``."""
        filled = 0
        with self._lock:
            while filled < frames and self._waiting:
                piece = self._waiting.popleft()
                taken = min(len(piece), frames - filled)
                out[filled : filled + taken, 0] = piece[:taken]
                filled += taken
                if taken < len(piece):
                    self._waiting.appendleft(piece[taken:])
        out[filled:] = 0


def opened(kind: str, rate_hz: int, **more: Any) -> Any:
    """A mono stream of sounddevice; ModelError where there is none."""
    try:
        import sounddevice
    except (ImportError, OSError) as problem:  # OSError: PortAudio's library is missing
        raise ModelError(
            f"there is no sound without sounddevice: {problem}",
            "pip install 'workbench[microphone]' and the system's PortAudio (libportaudio2)",
        ) from problem
    try:
        return getattr(sounddevice, kind)(
            samplerate=rate_hz, channels=1, dtype="float32", latency="low", **more
        )
    except Exception as problem:  # PortAudio's errors, ValueError for an unknown device
        raise ModelError(
            f"no sound device can be opened at {rate_hz} Hz: {problem}",
            "plug one in, or talk to a sound file",
        ) from problem
