"""One stream of a pool: what it still has to say, what came of it, and its chunks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal, Protocol

import numpy as np

from workbench.audio import Audio
from workbench.engines.csm.loops import LoopWatch
from workbench.engines.csm.request import Request
from workbench.engines.speech import Chunk, Ended, Speech, worst
from workbench.errors import InputError
from workbench.models.csm.prompt import Segment

State = Literal["waiting", "speaking", "finished", "left"]


class Pool(Protocol):
    """What a stream asks of its pool."""

    rate_hz: int
    watches_loops: bool

    def step(self) -> object:
        """Makes a frame for all streams that have a slot."""
        ...

    def leave(self, stream: PooledStream) -> None:
        """Gives the stream's slot, or its place in the queue, to the next."""
        ...

    def frame_limit(self, request: Request, part: Segment, made: int) -> int:
        """Frames that ``part`` may take after ``made`` frames of the request."""
        ...

    def speech_of(self, stream: PooledStream) -> Speech:
        """The whole of a finished stream."""
        ...


class PooledStream:
    """An iterator over the chunks of one request in a ``StreamPool``; ``speech`` is the whole.

    Asking for the next chunk makes the pool step until it is there, for all its streams: their
    chunks wait for them. ``state`` is ``waiting`` (for a slot), ``speaking``, ``finished`` or
    ``left``. ``starts`` says that a part waits for its prefill.
    """

    def __init__(self, pool: Pool, request: Request) -> None:
        self.request = request
        self.state: State = "waiting"
        self.codes: list[np.ndarray] = []  # [K] for each frame
        self.chunks: list[Chunk] = []
        self.ended: Ended | None = None
        self.generation_ms = 0.0  # from the request to the end, once it is finished
        self._pool = pool
        self._started = time.perf_counter() - request.prepared_s
        self._part = 0
        self._ends: list[Ended] = []  # of the parts that are over
        self._given = 0
        self._speech: Speech | None = None
        self._begin_part(pool.frame_limit(request, self.part, 0))

    @property
    def part(self) -> Segment:
        """The part of the text that is being said."""
        return self.request.parts[self._part]

    @property
    def seed(self) -> int:
        """The part's own seed, as it is for one request alone."""
        return self.request.seed + self._part

    @property
    def elapsed_ms(self) -> float:
        """Since the request."""
        return (time.perf_counter() - self._started) * 1000

    def take(self, codes: np.ndarray, is_end: bool, sound: np.ndarray) -> Chunk | None:
        """The stream's next frame: codes ``[K]`` and PCM ``[N]``; None where it ends a part.

        Both are copied, as they may lie in buffers of the pool.
        """
        if is_end:
            self._end_part("eos")
            return None
        chunk = Chunk(Audio(sound.copy(), self._pool.rate_hz), self.elapsed_ms, len(self.chunks))
        self.codes.append(codes.copy())
        self.chunks.append(chunk)
        self._left -= 1
        if self._pool.watches_loops and self._watch.loops(int(codes[0])):
            self._end_part("loop")
        elif self._left == 0:
            self._end_part("cap")
        return chunk

    def _begin_part(self, limit: int) -> None:
        self.starts = True
        self._left = limit  # frames
        self._watch = LoopWatch()

    def _end_part(self, how: Ended) -> None:
        self._ends.append(how)
        if self._part + 1 < len(self.request.parts):
            self._part += 1
            limit = self._pool.frame_limit(self.request, self.part, len(self.codes))
            if limit >= 1:
                self._begin_part(limit)
                return
            self._ends.append("cap")
        self.ended = worst(self._ends)
        self.generation_ms = self.elapsed_ms
        self.state = "finished"

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        while self._given == len(self.chunks) and self.state in ("waiting", "speaking"):
            self._pool.step()
        if self.state == "left" or self._given == len(self.chunks):
            raise StopIteration
        self._given += 1
        return self.chunks[self._given - 1]

    @property
    def speech(self) -> Speech:
        """The finished speech. Raises InputError for a stream that isn't finished, or was left."""
        if self.state == "left":
            raise InputError("the stream was left before its end", "join the pool again")
        if self.state != "finished":
            raise InputError(
                "the stream isn't finished", "read all its chunks before asking for the speech"
            )
        if self._speech is None:
            self._speech = self._pool.speech_of(self)
        return self._speech

    def close(self) -> None:
        """Leaves the pool before the end; does nothing after it."""
        self._pool.leave(self)
