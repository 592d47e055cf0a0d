"""Where an answer's sound goes: a recording that keeps real time, or a loudspeaker."""

from __future__ import annotations

import asyncio
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


_PIECE_S = 0.02  # what a device is handed at a time
_STUCK_S = 1.0  # a device that takes longer for it is left alone
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

    Raises ModelError where sounddevice or a device is missing.
    """

    def __init__(self, rate_hz: int) -> None:
        self._stream = opened("OutputStream", rate_hz)
        self._stream.start()

    async def play(self, audio: Audio) -> None:
        """Hands the chunk to the device, which blocks while its buffer is full.

        Cancelled, it waits for the piece under way (20 ms) and drops what the device still has: a
        stream of PortAudio must not be aborted while another thread writes to it.
        """
        loop, size = asyncio.get_running_loop(), round(_PIECE_S * audio.rate_hz)
        for first in range(0, len(audio), size):
            piece = audio.samples[first : first + size, None]
            written = loop.run_in_executor(None, self._stream.write, piece)
            try:
                await asyncio.shield(written)
            except asyncio.CancelledError:
                over, _ = await asyncio.wait([written], timeout=_STUCK_S)
                if over:
                    self._stream.abort()
                    self._stream.start()
                raise

    async def close(self) -> None:
        """Closes the device."""
        self._stream.close()


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
