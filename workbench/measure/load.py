"""A stream pool under load: so many listeners, each with one stream at a time, for some seconds."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from workbench.engines.csm.pooled import PooledStream
from workbench.engines.csm.streams import StreamPool
from workbench.errors import InputError
from workbench.measure.playback import needed_prebuffer_ms, simulate_player


@dataclass(frozen=True)
class StreamTimes:
    """One stream of a load: when it was asked for, in ms, and when its chunks were on the host."""

    asked_ms: float
    chunks_ms: tuple[float, ...]

    @property
    def ttfa_ms(self) -> float:
        """Time to first audio, the wait for the frame under way included."""
        return self.chunks_ms[0] - self.asked_ms

    @property
    def intervals_ms(self) -> tuple[float, ...]:
        """From each chunk to the next."""
        return tuple(later - earlier for earlier, later in pairwise(self.chunks_ms))


@dataclass(frozen=True)
class Load:
    """What ``listeners`` at a time had from a pool. All times are raw samples.

    ``frames_ms`` has what each step of the pool took, joins included, and ``frames_streams`` how
    many chunks came of it, since all had their first stream; ``streams`` holds every stream that
    got at least one chunk.
    """

    listeners: int
    chunk_ms: float
    chunk_samples: int
    rate_hz: int
    frames_ms: tuple[float, ...]
    frames_streams: tuple[int, ...]
    streams: tuple[StreamTimes, ...]
    warm_up_s: float

    @property
    def throughput(self) -> float:
        """Seconds of audio made in a second."""
        return sum(self.frames_streams) * self.chunk_ms / sum(self.frames_ms)

    @property
    def ttfa_ms(self) -> list[float]:
        """Times to first audio."""
        return [stream.ttfa_ms for stream in self.streams]

    @property
    def intervals_ms(self) -> list[float]:
        """From each chunk of a stream to its next, of all streams."""
        return [gap for stream in self.streams for gap in stream.intervals_ms]

    def underruns(self, prebuffer_ms: float = 0.0) -> int:
        """How often the listeners' players ran dry."""
        return sum(
            simulate_player(*self._played(stream), prebuffer_ms).underruns
            for stream in self.streams
        )

    @property
    def needed_prebuffer_ms(self) -> float:
        """The smallest prebuffer with which none of them runs dry."""
        return max(
            (needed_prebuffer_ms(*self._played(stream)) for stream in self.streams), default=0.0
        )

    def _played(self, stream: StreamTimes) -> tuple[Sequence[float], Sequence[int], int]:
        samples = [self.chunk_samples] * len(stream.chunks_ms)
        return stream.chunks_ms, samples, self.rate_hz


def run_load(
    engine: Any,
    listeners: int,
    texts: Sequence[str],
    *,
    seconds: float,
    max_frames: int | None = None,
    positions: int | None = None,
    pause_ms: float = 80.0,
    seed: int = 0,
) -> Load:
    """``listeners`` ask a pool of as many slots for one stream after another, for ``seconds``.

    They come one by one, at random moments of the first quarter; each asks for its next text a
    random while (up to ``pause_ms``) after its last stream ended. So streams join and leave at
    any time. The pool, with ``positions`` a slot, makes frames as fast as it can. Streams that
    still speak at the end are left; what they had counts.

    Raises InputError for no listeners, texts or time.
    """
    if listeners < 1 or not texts or seconds <= 0:
        raise InputError(
            f"{listeners} listeners, {len(texts)} texts, {seconds} s", "pass some of each"
        )
    with StreamPool(engine, listeners, positions=positions) as pool:
        warm_up_s = pool.warm_up()
        crowd = _Crowd(pool, texts, max_frames, pause_ms, random.Random(seed))
        return crowd.run(1000 * seconds, warm_up_s)


class _Crowd:
    """The listeners of one load."""

    def __init__(
        self,
        pool: StreamPool,
        texts: Sequence[str],
        max_frames: int | None,
        pause_ms: float,
        chance: random.Random,
    ) -> None:
        self._pool = pool
        self._texts = texts
        self._max_frames = max_frames
        self._pause_ms = pause_ms
        self._chance = chance
        self._asks_ms: list[float] = []  # when those who have no stream want one
        self._heard: list[tuple[float, list[float]]] = []  # asked at, chunks at
        self._open: dict[PooledStream, list[float]] = {}  # chunks of the streams under way
        self._begin = time.perf_counter()

    def run(self, duration_ms: float, warm_up_s: float) -> Load:
        """See ``run_load``."""
        come_ms = duration_ms / 4
        self._asks_ms = [self._chance.uniform(0, come_ms) for _ in range(self._pool.slots)]
        steps: list[tuple[float, int]] = []
        self._begin = time.perf_counter()
        while (before := self._now_ms()) < duration_ms:
            self._ask(before)
            if not self._pool.busy:
                time.sleep(max(min(self._asks_ms) - self._now_ms(), 0.0) / 1000)
                continue
            chunks = self._pool.step()
            now = self._now_ms()
            for stream, _ in chunks:
                self._open[stream].append(now)
            for stream in [one for one in self._open if one.state == "finished"]:
                del self._open[stream]
                self._asks_ms.append(now + self._chance.uniform(0, self._pause_ms))
            if before >= come_ms:
                steps.append((now - before, len(chunks)))
        return self._load(steps, warm_up_s)

    def _ask(self, now_ms: float) -> None:
        """Joins for whoever wanted a stream by now; the wait for this moment is theirs."""
        due = [asked for asked in self._asks_ms if asked <= now_ms]
        self._asks_ms = [asked for asked in self._asks_ms if asked > now_ms]
        for asked_ms in due:
            stream = self._pool.join(
                self._chance.choice(self._texts),
                seed=len(self._heard),
                max_frames=self._max_frames,
            )
            self._open[stream] = []
            self._heard.append((asked_ms, self._open[stream]))

    def _load(self, steps: Sequence[tuple[float, int]], warm_up_s: float) -> Load:
        samples, rate_hz = self._pool.engine.frame_samples, self._pool.rate_hz
        times = [
            StreamTimes(asked_ms, tuple(chunks_ms))
            for asked_ms, chunks_ms in self._heard
            if chunks_ms
        ]
        return Load(
            listeners=self._pool.slots,
            chunk_ms=1000 * samples / rate_hz,
            chunk_samples=samples,
            rate_hz=rate_hz,
            frames_ms=tuple(took_ms for took_ms, _ in steps),
            frames_streams=tuple(count for _, count in steps),
            streams=tuple(times),
            warm_up_s=warm_up_s,
        )

    def _now_ms(self) -> float:
        return (time.perf_counter() - self._begin) * 1000
