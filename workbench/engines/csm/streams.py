"""Several streams of one engine at a time, each with a text, voice, seed and end of its own.

with StreamPool(engine, slots=8) as pool:
    streams = [pool.join(text, seed=7) for text in texts]
    while pool.busy:
        for stream, chunk in pool.step():  # one frame of 80 ms for all that speak
            ...
    speeches = [stream.speech for stream in streams]
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType

import numpy as np
import torch

from workbench.engines.conditions import failures_named
from workbench.engines.csm.engine import CsmEngine
from workbench.engines.csm.pooled import PooledStream
from workbench.engines.csm.request import Request
from workbench.engines.csm.slots import SlotStart
from workbench.engines.speech import Chunk, Reference, Speech
from workbench.errors import InputError
from workbench.models.csm.prompt import Segment, positions_of


class StreamPool:
    """Streams that join and leave between frames and share each read of the weights.

    A frame step for ``slots`` rows makes one frame for every stream that has a slot; the others
    wait, first come, first served, at most ``waiting`` of them (None: any number). A stream says
    what it says alone, with the same seed: in float32 the same codes. The pool has the engine
    for itself until it is closed; its caches are its own, ``positions`` for each slot (None: all
    that the model has; fewer take less memory and speak shorter texts).

    A prefill holds up everybody's frame, so at most ``starts_per_frame`` streams take their slots
    before a frame. One thread drives a pool.

    Raises InputError for an engine that is speaking or whose implementation can't, and for slots
    that don't fit into memory.
    """

    def __init__(
        self,
        engine: CsmEngine,
        slots: int,
        *,
        positions: int | None = None,
        waiting: int | None = None,
        starts_per_frame: int = 8,
    ) -> None:
        if waiting is not None and waiting < 0:
            raise InputError(f"a queue of {waiting}", "use 0 (none), more, or None (any number)")
        if starts_per_frame < 1:
            raise InputError(f"{starts_per_frame} starts a frame", "allow at least one")
        self.engine = engine
        self.rate_hz = engine.rate_hz
        self.watches_loops = engine.watches_loops
        self._most_waiting = waiting
        self._starts_per_frame = starts_per_frame
        self._waiting: deque[PooledStream] = deque()
        self._speaking: dict[int, PooledStream] = {}  # by slot
        self._closing = ExitStack()
        self._closing.enter_context(engine.alone())
        try:
            with failures_named(engine.name, engine.optimizations):
                self._slots = engine.slots(slots, positions)
        except BaseException:
            self._closing.close()
            raise
        self._free = deque(range(slots))
        self._open = True

    @property
    def slots(self) -> int:
        """How many streams can speak at a time."""
        return self._slots.count

    @property
    def speaking(self) -> int:
        """Streams that have a slot."""
        return len(self._speaking)

    @property
    def waiting(self) -> int:
        """Streams that wait for one."""
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether there is anything to do: streams that speak or wait."""
        return bool(self._speaking or self._waiting)

    def join(
        self,
        text: str,
        *,
        voice: int = 0,
        context: Sequence[Reference] = (),
        seed: int | None = None,
        temperature: float | None = None,
        max_frames: int | None = None,
    ) -> PooledStream:
        """A stream that speaks ``text`` from the next frame on, or once a slot is free.

        Takes what ``Synthesizer.stream`` takes. Raises InputError for what that refuses, for a
        text that the slots' positions can't hold, for a full queue and for a closed pool.
        """
        self._check_open()
        free = len(self._free) - len(self._waiting)
        if self._most_waiting is not None and free + self._most_waiting <= 0:
            raise InputError(
                f"no free slot: {self.speaking} of {self.slots} speak, {self.waiting} wait",
                "wait for one to end, or make the pool with more slots or a longer queue",
            )
        (request,) = self.engine.requests.read(
            [text],
            voice=voice,
            context=context,
            seed=seed,
            temperature=temperature,
            max_frames=max_frames,
        )
        for part in request.parts:  # one that can't fit is refused before any is spoken
            self.frame_limit(request, part)
        stream = PooledStream(self, request)
        self._waiting.append(stream)
        return stream

    def step(self) -> list[tuple[PooledStream, Chunk]]:
        """One frame for all streams in a slot, after those that wait have taken the free ones.

        Returns the chunks that came of it: none where nobody speaks, and none for a stream whose
        part ended by itself in this frame.
        """
        self._check_open()
        with failures_named(self.engine.name, self.engine.optimizations):
            starts = self._starts()
            if starts:
                self._slots.start(starts)
            if not self._speaking:
                return []
            codes, ends, sound = self._slots.frame()
        given = []
        for slot, stream in list(self._speaking.items()):
            chunk = stream.take(codes[slot], bool(ends[slot]), sound[slot])
            if chunk is not None:
                given.append((stream, chunk))
            if stream.state == "finished":
                self._vacate(slot)
        return given

    def leave(self, stream: PooledStream) -> None:
        """Frees the slot, or the place in the queue, of a stream that isn't finished."""
        if stream.state in ("finished", "left"):
            return
        stream.state = "left"
        if stream in self._waiting:
            self._waiting.remove(stream)
        for slot, one in list(self._speaking.items()):
            if one is stream:
                self._vacate(slot)

    def frame_limit(self, request: Request, part: Segment, made: int = 0) -> int:
        """Frames that ``part`` may take after ``made`` of the request: as alone, or what fits.

        Raises InputError where text and context leave no room in a slot's positions.
        """
        taken = positions_of(request.prompt(part))
        room = self._slots.positions - taken
        if room < 1:
            raise InputError(
                f"text and context take {taken} positions, a slot has {self._slots.positions}",
                "use a shorter text or reference, or make the pool with more positions",
            )
        return min(self.engine.requests.frame_limit(request, part, made), room)

    def speech_of(self, stream: PooledStream) -> Speech:
        """The whole of a finished stream; InputError before its end."""
        if stream.ended is None:
            raise InputError("the stream isn't finished", "read all its chunks first")
        engine = self.engine
        shape = (engine.config.num_codebooks, 0)
        codes = np.stack(stream.codes, axis=1) if stream.codes else np.zeros(shape, dtype=np.int64)
        sounds = [chunk.audio.samples for chunk in stream.chunks]
        sound = np.concatenate(sounds) if sounds else np.zeros(0, dtype=np.float32)
        times_ms = [chunk.at_ms for chunk in stream.chunks]
        return engine.speech(
            stream.request,
            sound,
            torch.from_numpy(codes),
            stream.ended,
            times_ms,
            stream.generation_ms,
        )

    def warm_up(self) -> float:
        """Speaks a few frames, so that whatever is compiled or captured is; returns the seconds."""
        started = time.perf_counter()
        stream = self.join("warm up", voice=next(iter(self.engine.voices)), seed=0, max_frames=3)
        for _ in stream:
            pass
        if not self._speaking:
            self._slots.warm_up()
        return time.perf_counter() - started

    def close(self) -> None:
        """Lets all streams go and frees the engine; a second call does nothing."""
        if not self._open:
            return
        for stream in [*self._speaking.values(), *self._waiting]:
            stream.close()
        self._open = False
        del self._slots
        self._closing.close()

    def __enter__(self) -> StreamPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _starts(self) -> list[SlotStart]:
        """The next parts of those who speak, and first parts for the free slots."""
        begun = [(slot, one, False) for slot, one in self._speaking.items() if one.starts]
        for _ in range(min(len(self._free), len(self._waiting), self._starts_per_frame)):
            slot, stream = self._free.popleft(), self._waiting.popleft()
            stream.state = "speaking"
            self._speaking[slot] = stream
            begun.append((slot, stream, True))
        starts = []
        for slot, stream, anew in begun:
            stream.starts = False
            prompt = stream.request.prompt(stream.part)
            sampling = stream.request.sampling
            starts.append(SlotStart(slot, prompt, sampling, stream.seed, anew))
        return starts

    def _vacate(self, slot: int) -> None:
        del self._speaking[slot]
        self._slots.stop(slot)
        self._free.append(slot)

    def _check_open(self) -> None:
        if not self._open:
            raise InputError("the pool is closed", "make another one")
