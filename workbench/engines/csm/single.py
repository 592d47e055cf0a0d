"""One request at a time: its frames of codes, and the chunks of sound that come of them."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from workbench.audio import Audio
from workbench.engines.csm.generators import CodeGenerator
from workbench.engines.csm.loops import LoopWatch
from workbench.engines.csm.request import Request, RequestReader
from workbench.engines.csm.sound import Sound
from workbench.engines.speech import Chunk, Ended, worst


class Spoken(NamedTuple):
    """What came of a request: PCM ``[N]`` on the host, codes ``[K, T]``, and when."""

    samples: np.ndarray
    codes: torch.Tensor
    ended: Ended
    times_ms: Sequence[float]
    total_ms: float


class SingleSpeaker:
    """Speaks requests one after another, part by part.

    The codec's state runs on through the parts, so that the sound is one decode of all codes.
    """

    def __init__(
        self,
        generator: CodeGenerator,
        sound: Sound,
        requests: RequestReader,
        config: Any,
        rate_hz: int,
        frame_samples: int,
        watches_loops: bool,
    ) -> None:
        self._generator = generator
        self._sound = sound
        self._requests = requests
        self._config = config
        self._rate_hz = rate_hz
        self._frame_samples = frame_samples
        self._watches_loops = watches_loops

    def true(self, request: Request) -> Generator[Chunk, None, Spoken]:
        """Each frame decoded as it is generated, with the codec's carried state."""
        started = time.perf_counter() - request.prepared_s
        decoder = self._sound.fresh_stream()
        sounds: list[np.ndarray] = []
        codes: list[torch.Tensor] = []
        times_ms: list[float] = []
        frames = self._frames(request)
        while True:
            try:
                frame = next(frames)
            except StopIteration as stop:
                ended: Ended = stop.value
                break
            with request.clock("codec"):
                sound = self._sound.next_frame(decoder, frame)
            times_ms.append((time.perf_counter() - started) * 1000)
            sounds.append(sound)
            codes.append(frame)
            yield Chunk(Audio(sound, self._rate_hz), times_ms[-1], len(sounds) - 1)
        total_ms = (time.perf_counter() - started) * 1000
        whole = np.concatenate(sounds) if sounds else np.zeros(0, dtype=np.float32)
        return Spoken(whole, self._stacked(codes), ended, times_ms, total_ms)

    def pseudo(self, request: Request, *, whole: bool) -> Generator[Chunk, None, Spoken]:
        """All codes first, then all sound, then (unless ``whole``) cut into frames."""
        started = time.perf_counter() - request.prepared_s
        frames: list[torch.Tensor] = []
        generated = self._frames(request)
        while True:
            try:
                frames.append(next(generated))
            except StopIteration as stop:
                ended: Ended = stop.value
                break
        codes = self._stacked(frames)
        with request.clock("codec"):
            sound = self._sound.whole(codes)
        times_ms: list[float] = []
        size = max(len(sound), 1) if whole else self._frame_samples
        for index, offset in enumerate(range(0, len(sound), size)):
            times_ms.append((time.perf_counter() - started) * 1000)
            chunk = Audio(sound[offset : offset + size], self._rate_hz)
            yield Chunk(chunk, times_ms[-1], index)
        total_ms = (time.perf_counter() - started) * 1000
        return Spoken(sound, codes, ended, times_ms, total_ms)

    def _frames(self, request: Request) -> Generator[torch.Tensor, None, Ended]:
        """Frames ``[K]`` of all parts of the text; returns how it ended."""
        parts: list[Ended] = []
        made = 0
        eos = self._config.codebook_eos_token_id
        for number, part in enumerate(request.parts):
            limit = self._requests.frame_limit(request, part, made)
            if limit < 1:
                return worst([*parts, "cap"])
            by_itself = looped = False
            watch = LoopWatch()
            for codes in self._generator.frames(
                [request.prompt(part)],
                request.sampling,
                request.seed + number,
                limit,
                request.clock,
            ):
                heard = codes[0].tolist()  # one copy to the host, whatever is asked of it
                by_itself = all(code == eos for code in heard[: self._config.num_codebooks - 1])
                if by_itself:
                    break
                made += 1
                yield codes[0]
                looped = self._watches_loops and watch.loops(heard[0])
                if looped:
                    break
            parts.append("loop" if looped else "eos" if by_itself else "cap")
        return worst(parts)

    def _stacked(self, frames: Sequence[torch.Tensor]) -> torch.Tensor:
        """Frames ``[K]`` as ``[K, T]``, also where there are none."""
        if frames:
            return torch.stack(list(frames), dim=1)
        return torch.zeros(self._config.num_codebooks, 0, dtype=torch.int64)
