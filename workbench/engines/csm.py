"""The CSM engine: text in, speech out, streamed frame by frame."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from workbench.audio import Audio
from workbench.engines.generators import (
    CodeGenerator,
    FrameStepGenerator,
    TransformersGenerator,
    gradients_off,
)
from workbench.engines.request import Request, RequestReader
from workbench.engines.speech import Chunk, Ended, Reference, Speech, Streaming
from workbench.errors import InputError
from workbench.models.csm.load import LoadedCsm
from workbench.models.mimi.streaming import MimiDecoderStream
from workbench.optimizations.options import EngineOptions
from workbench.optimizations.registry import applied

GENERATORS: Mapping[str, type[FrameStepGenerator] | type[TransformersGenerator]] = {
    "frame": FrameStepGenerator,
    "transformers": TransformersGenerator,
}


class CsmStream:
    """An iterator over the chunks of one request; ``speech`` is the whole at its end."""

    def __init__(self, chunks: Generator[Chunk | Speech]) -> None:
        self._chunks = chunks
        self._speech: Speech | None = None

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        item = next(self._chunks)
        if isinstance(item, Speech):
            self._speech = item
            raise StopIteration
        return item

    @property
    def speech(self) -> Speech:
        """The finished speech. Raises InputError while chunks are still to come."""
        if self._speech is None:
            raise InputError(
                "the stream isn't finished", "read all its chunks before asking for the speech"
            )
        return self._speech

    def close(self) -> None:
        """Stops generating; the engine is free again."""
        self._chunks.close()


class CsmEngine:
    """CSM behind the Synthesizer protocol; see ``workbench.load``.

    ``options`` say how it runs; ``optimizations`` names the switches that made them and
    ``left_out`` those of a preset that can't work here, with why. ``implementation`` is ``frame``
    (our frame step) or ``transformers`` (its ``generate``).

    An engine speaks one request at a time, on ``threads`` CPU threads (default: torch's number);
    its caches can't serve two. A long text is spoken in parts of whole sentences; the codec's
    state runs on through them, so that the sound is one decode of all codes.
    """

    def __init__(
        self,
        csm: LoadedCsm,
        *,
        name: str,
        weights: str,
        options: EngineOptions,
        optimizations: tuple[str, ...] = (),
        left_out: Mapping[str, str] | None = None,
        chars_per_part: int = 400,
    ) -> None:
        self.name = name
        self.weights = weights
        self.options = options
        self.optimizations = optimizations
        self.left_out = dict(left_out or {})
        self.implementation = options.generator
        self.voices = csm.voices
        self.csm = csm
        self.config = csm.model.config
        self.codec = csm.model.codec_model
        self.device: torch.device = csm.model.lm_head.weight.device
        self.dtype: torch.dtype = csm.model.lm_head.weight.dtype
        self.rate_hz = int(self.codec.config.sampling_rate)
        self.frame_samples = round(self.rate_hz / self.codec.config.frame_rate)
        self.threads = options.threads or torch.get_num_threads()
        self._chars_per_part = chars_per_part
        self._requests = RequestReader(csm, name, chars_per_part)
        self._generator: CodeGenerator = GENERATORS[options.generator](csm, options)
        self._decoder: MimiDecoderStream | None = None
        self._busy = threading.Lock()

    def with_implementation(self, implementation: str) -> CsmEngine:
        """Another engine on the same weights, to compare implementations in one memory."""
        if implementation not in GENERATORS:
            raise InputError(
                f"no implementation called {implementation!r}", f"use {' or '.join(GENERATORS)}"
            )
        options = replace(self.options, generator=implementation)  # type: ignore[arg-type]
        if implementation == "transformers":
            options = replace(options, streaming="pseudo")
        return CsmEngine(
            self.csm,
            name=self.name,
            weights=self.weights,
            options=options,
            chars_per_part=self._chars_per_part,
        )

    @property
    def streams(self) -> bool:
        """Whether frames come while later ones are still to be generated."""
        return self._generator.streams

    def warm_up(self) -> float:
        """Runs a short request once; returns the seconds it took."""
        started = time.perf_counter()
        voice = next(iter(self.voices))
        for _ in self.stream("warm up", voice=voice, seed=0, max_frames=2):
            pass
        return time.perf_counter() - started

    def synthesize(
        self,
        text: str,
        *,
        voice: int = 0,
        context: Sequence[Reference] = (),
        seed: int | None = None,
        temperature: float | None = None,
        max_frames: int | None = None,
        time_stages: bool = False,
    ) -> Speech:
        """Speaks ``text``; all codes first, then all sound. See ``Synthesizer.synthesize``."""
        request = self._requests.read(
            text,
            voice=voice,
            context=context,
            seed=seed,
            temperature=temperature,
            max_frames=max_frames,
            time_stages=time_stages,
        )
        stream = CsmStream(self._pseudo(request, whole=True))
        for _ in stream:
            pass
        return stream.speech

    def stream(
        self,
        text: str,
        *,
        voice: int = 0,
        context: Sequence[Reference] = (),
        seed: int | None = None,
        temperature: float | None = None,
        max_frames: int | None = None,
        time_stages: bool = False,
        streaming: Streaming | None = None,
    ) -> CsmStream:
        """Speaks ``text`` chunk by chunk, a frame of 80 ms each. See ``Synthesizer.stream``.

        ``streaming`` defaults to the engine's own: ``true`` with the switch ``true_streaming``.

        Raises InputError where ``true`` is asked of transformers' ``generate``, whose frames
        come only at the end.
        """
        streaming = streaming or self.options.streaming
        if streaming not in ("true", "pseudo"):
            raise InputError(f"no streaming called {streaming!r}", "use 'true' or 'pseudo'")
        if streaming == "true" and not self.streams:
            raise InputError(
                f"the implementation {self.implementation!r} gives its frames only at the end",
                "use streaming='pseudo', or load with implementation='frame'",
            )
        request = self._requests.read(
            text,
            voice=voice,
            context=context,
            seed=seed,
            temperature=temperature,
            max_frames=max_frames,
            time_stages=time_stages,
        )
        if streaming == "true":
            return CsmStream(self._true(request))
        return CsmStream(self._pseudo(request, whole=False))

    def synthesize_batch(
        self,
        texts: Sequence[str],
        *,
        voice: int = 0,
        seed: int | None = None,
        temperature: float | None = None,
        max_frames: int | None = None,
    ) -> list[Speech]:
        """Speaks several texts in one batch; all are ready at the end of it.

        Each part of a long text is a row of its own, and ``max_frames`` holds for each.
        """
        if not texts:
            raise InputError("an empty list of texts", "pass at least one text")
        started = time.perf_counter()
        requests = [
            self._requests.read(
                text, voice=voice, seed=seed, temperature=temperature, max_frames=max_frames
            )
            for text in texts
        ]
        rows = [(request, part) for request in requests for part in request.parts]
        limits = [self._requests.frame_limit(request, part) for request, part in rows]
        first = requests[0]
        with self._alone():
            frames = self._generator.frames(
                [request.prompt(part) for request, part in rows],
                first.sampling,
                first.seed,
                max(limits),
                first.clock,
            )
            codes = torch.stack(list(frames), dim=2)  # [B, K, T]
            spoken = [self._cut(row, limit) for row, limit in zip(codes, limits, strict=True)]
            sounds = [self._decoded(row) for row, _ in spoken]
        elapsed_ms = (time.perf_counter() - started) * 1000
        results = []
        for request in requests:
            mine = range(len(request.parts))
            by_itself = [spoken[row][1] for row in mine]
            results.append(
                self._speech(
                    replace(request, seed=first.seed),
                    np.concatenate([sounds[row] for row in mine]),
                    torch.cat([spoken[row][0] for row in mine], dim=1),
                    "eos" if all(by_itself) else "cap",
                    [elapsed_ms],
                    elapsed_ms,
                )
            )
            del spoken[: len(mine)], sounds[: len(mine)]
        return results

    def _true(self, request: Request) -> Generator[Chunk | Speech]:
        """Each frame decoded as it is generated, with the codec's carried state."""
        with self._alone():
            started = time.perf_counter() - request.prepared_s
            decoder = self._fresh_decoder()
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
                with request.clock("codec"), gradients_off(self.options):
                    sound = decoder.frame(frame[None])[0].float().cpu().numpy()
                times_ms.append((time.perf_counter() - started) * 1000)
                sounds.append(sound)
                codes.append(frame)
                yield Chunk(Audio(sound, self.rate_hz), times_ms[-1], len(sounds) - 1)
            total_ms = (time.perf_counter() - started) * 1000
        sound = np.concatenate(sounds) if sounds else np.zeros(0, dtype=np.float32)
        yield self._speech(request, sound, self._stacked(codes), ended, times_ms, total_ms)

    def _pseudo(self, request: Request, *, whole: bool) -> Generator[Chunk | Speech]:
        """All codes first, then all sound, then (unless ``whole``) cut into frames."""
        with self._alone():
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
                sound = self._decoded(codes)
            times_ms: list[float] = []
            size = max(len(sound), 1) if whole else self.frame_samples
            for index, offset in enumerate(range(0, len(sound), size)):
                times_ms.append((time.perf_counter() - started) * 1000)
                chunk = Audio(sound[offset : offset + size], self.rate_hz)
                yield Chunk(chunk, times_ms[-1], index)
            total_ms = (time.perf_counter() - started) * 1000
        yield self._speech(request, sound, codes, ended, times_ms, total_ms)

    def _frames(self, request: Request) -> Generator[torch.Tensor, None, Ended]:
        """Frames ``[K]`` of all parts of the text; returns how it ended."""
        ended: Ended = "eos"
        made = 0
        for number, part in enumerate(request.parts):
            limit = self._requests.frame_limit(request, part, made)
            if limit < 1:
                return "cap"
            by_itself = False
            for codes in self._generator.frames(
                [request.prompt(part)],
                request.sampling,
                request.seed + number,
                limit,
                request.clock,
            ):
                by_itself = bool(self._ends(codes[0]))
                if by_itself:
                    break
                made += 1
                yield codes[0]
            if not by_itself:
                ended = "cap"
        return ended

    def _ends(self, codes: torch.Tensor) -> torch.Tensor:
        """Whether codes ``[K, …]`` are end-of-audio frames; the last codebook doesn't count."""
        return (codes[:-1] == self.config.codebook_eos_token_id).all(dim=0)

    def _cut(self, codes: torch.Tensor, limit: int) -> tuple[torch.Tensor, bool]:
        """``[K, T]`` cut at its end-of-audio frame or ``limit``, and whether it ended itself."""
        codes = codes[:, :limit]
        ends = self._ends(codes).nonzero()
        return (codes[:, : int(ends[0])], True) if len(ends) else (codes, False)

    def _stacked(self, frames: Sequence[torch.Tensor]) -> torch.Tensor:
        """Frames ``[K]`` as ``[K, T]``, also where there are none."""
        if frames:
            return torch.stack(list(frames), dim=1)
        return torch.zeros(self.config.num_codebooks, 0, dtype=torch.int64, device=self.device)

    def _decoded(self, codes: torch.Tensor) -> np.ndarray:
        """Offline decode of ``[K, T]`` → ``[T * frame_samples]`` float32."""
        if codes.shape[1] == 0:
            return np.zeros(0, dtype=np.float32)
        with gradients_off(self.options):
            return self.codec.decode(codes[None]).audio_values[0, 0].float().cpu().numpy()

    def _fresh_decoder(self) -> MimiDecoderStream:
        if self._decoder is None:
            self._decoder = MimiDecoderStream(self.codec)
        self._decoder.reset()
        return self._decoder

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Holds the engine for one request, on its own number of CPU threads."""
        if not self._busy.acquire(blocking=False):
            raise InputError(
                f"{self.name} is speaking already",
                "finish or close its stream first, or load a second engine",
            )
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with applied(*self.options.process):
                yield
        finally:
            torch.set_num_threads(before)
            self._busy.release()

    def _speech(
        self,
        request: Request,
        samples: np.ndarray,
        codes: torch.Tensor,
        ended: Ended,
        times_ms: Sequence[float],
        total_ms: float,
    ) -> Speech:
        size = max(len(samples), 1) if len(times_ms) == 1 else self.frame_samples
        return Speech(
            samples=samples,
            rate_hz=self.rate_hz,
            text=request.text,
            voice=request.voice,
            seed=request.seed,
            codes=codes.cpu().numpy(),
            ended=ended,
            generation_ms=total_ms,
            chunks_ms=tuple(times_ms),
            chunks_samples=tuple(
                min(size, len(samples) - offset) for offset in range(0, len(samples), size)
            ),
            implementation=self.implementation,
            weights=self.weights,
            stages_ms=request.clock.summary(total_ms),
        )
