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
from workbench.engines.conditions import failures_named, gradients_off, speaking
from workbench.engines.csm import memory
from workbench.engines.csm.batches import buckets, free_bytes, largest_batch, row_bytes
from workbench.engines.csm.decoders import Decoders
from workbench.engines.csm.frame_generator import FrameStepGenerator
from workbench.engines.csm.generators import CodeGenerator
from workbench.engines.csm.loops import LoopWatch, loop_end
from workbench.engines.csm.request import Request, RequestReader
from workbench.engines.csm.slots import Slots
from workbench.engines.csm.stream import CsmStream
from workbench.engines.csm.tokens import TextTokens
from workbench.engines.csm.transfer import StagedTransfer, Transfer
from workbench.engines.csm.transformers_generator import TransformersGenerator
from workbench.engines.speech import Chunk, Ended, Reference, Speech, Streaming, worst
from workbench.errors import InputError, OutOfMemory
from workbench.models.csm.load import LoadedCsm
from workbench.models.csm.prompt import Segment
from workbench.models.mimi.decoder import DecoderStream
from workbench.optimizations.options import EngineOptions
from workbench.optimizations.registry import ordered, resolve
from workbench.optimizations.site import site_of

GENERATORS: Mapping[str, type[FrameStepGenerator] | type[TransformersGenerator]] = {
    "frame": FrameStepGenerator,
    "transformers": TransformersGenerator,
}


class CsmEngine:
    """CSM behind the Synthesizer protocol; see ``workbench.load``.

    ``options`` say how it runs; ``optimizations`` names the switches that made them and
    ``left_out`` those of a preset that can't work here, with why. ``implementation`` is ``frame``
    (our frame step) or ``transformers`` (its ``generate``).

    An engine speaks one request at a time, on ``threads`` CPU threads (default: torch's number);
    its caches can't serve two. A long text is spoken in parts of whole sentences; the codec's
    state runs on through them, so that the sound is one decode of all codes.

    With ``safe``, batches that memory refuses are spoken in smaller ones; ``safe_modes`` are those
    that were applied so far, in words (see ``workbench.engines.safe_modes``).
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
        safe: bool = False,
        safe_modes: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.safe = safe
        self.safe_modes = safe_modes
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
        self.transfer = (StagedTransfer if options.pinned_memory else Transfer)(self.device)
        self._tokens = TextTokens(csm, self.transfer, batched=options.batched_text)
        self.requests = RequestReader(
            csm,
            name,
            chars_per_part,
            self._tokens,
            self.transfer,
            codec=self.codec_name,
            native_rvq=options.native_rvq,
        )
        self._generator: CodeGenerator = GENERATORS[options.generator](csm, options)
        self.decoders = Decoders(self.codec, native=options.native_codec)
        self._decoder: DecoderStream | None = None
        self._busy = threading.Lock()
        # Noise from random weights says nothing, so nothing can be said again.
        self.watches_loops = weights != "random"

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
            safe=self.safe,
            safe_modes=self.safe_modes,
        )

    def with_optimizations(self, optimizations: Sequence[str]) -> CsmEngine:
        """Another engine on the same weights with exactly these switches on.

        Raises InputError for switches that can't be used here, or that change the weights.
        """
        start = EngineOptions(
            dtype=self.options.dtype,
            codec_dtype=self.options.codec_dtype,
            threads=self.options.threads,
        )
        site = site_of(self.device, "csm", self.config.num_codebooks)
        options = resolve(optimizations, site, start)
        if (options.dtype, options.codec_dtype) != (start.dtype, start.codec_dtype) or (
            options.quantization or options.autocast_dtype
        ):
            raise InputError(
                f"{', '.join(optimizations)} change the weights, which are shared",
                "load a second engine with them",
            )
        return CsmEngine(
            self.csm,
            name=self.name,
            weights=self.weights,
            options=options,
            optimizations=tuple(map(str, ordered(optimizations))),
            chars_per_part=self._chars_per_part,
            safe=self.safe,
            safe_modes=self.safe_modes,
        )

    @property
    def streams(self) -> bool:
        """Whether frames come while later ones are still to be generated."""
        return self._generator.streams

    @property
    def graphs_captured(self) -> int:
        """CUDA graphs that its frames are replayed from; 0 without the switch."""
        made = self._generator
        return made.graphs if isinstance(made, FrameStepGenerator) else 0

    @property
    def networks(self) -> list[torch.nn.Module]:
        """Backbone and depth decoder as they run, without heads and embeddings of text."""
        if isinstance(self._generator, FrameStepGenerator):
            ours = self._generator.networks
            return [ours.backbone, ours.depth, ours.projector]
        model = self.csm.model
        return [model.backbone_model, model.depth_decoder.model]

    def warm_up(self) -> float:
        """Runs a short request once; returns the seconds it took."""
        started = time.perf_counter()
        voice = next(iter(self.voices))
        for _ in self.stream("warm up", voice=voice, seed=0, max_frames=2):
            pass
        if isinstance(self._generator, FrameStepGenerator):
            with self.alone():
                self._generator.capture_prefill()
        return time.perf_counter() - started

    def tokenize(self, texts: Sequence[str], *, voice: int = 0) -> list[torch.Tensor]:
        """Token ids ``[N]`` int64 of each text on the device, as a prompt has them.

        One by one, or all in one call and one copy with the switch ``batched_text``.
        """
        return self._tokens([(voice, text) for text in texts])

    @property
    def codec_name(self) -> str:
        """The codec with its weights and type: codes mean something only to the one they are of."""
        return f"{self.name}@{self.weights}, {self.codec.dtype}".replace("torch.", "")

    def encoded(self, reference: Reference) -> Reference:
        """``reference`` with its codes, so that requests needn't encode it again.

        Raises InputError for sound shorter than one frame, and for codes of another codec.
        """
        with self.alone(), gradients_off(self.options):
            return self.requests.encoded(reference)

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
        (request,) = self.requests.read(
            [text],
            voice=voice,
            context=context,
            seed=seed,
            temperature=temperature,
            max_frames=max_frames,
            time_stages=time_stages,
        )
        return self._whole(request)

    def _whole(self, request: Request) -> Speech:
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
        (request,) = self.requests.read(
            [text],
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
        """Speaks several texts: one after another, or in batches with the switch ``batching``.

        In batches each part of a long text is a row of its own, and all are ready at the end. See
        ``workbench.engines.csm.batches`` for what goes together.
        """
        if not texts:
            raise InputError("an empty list of texts", "pass at least one text")
        started = time.perf_counter()
        requests = self.requests.read(
            texts, voice=voice, seed=seed, temperature=temperature, max_frames=max_frames
        )
        if not self.options.batching:
            return [self._whole(request) for request in requests]
        rows = [(request, part) for request in requests for part in request.parts]
        with self.alone():
            spoken = self._rows(rows)
        elapsed_ms = (time.perf_counter() - started) * 1000
        results = []
        for request in requests:
            mine = [spoken.pop(0) for _ in request.parts]
            sound = np.concatenate([sound for sound, _, _ in mine])
            codes = torch.cat([codes for _, codes, _ in mine], dim=1)
            ended = worst([how for _, _, how in mine])
            if request.max_frames is not None and codes.shape[1] > request.max_frames:
                codes, ended = codes[:, : request.max_frames], "cap"
                sound = sound[: request.max_frames * self.frame_samples]
            results.append(self.speech(request, sound, codes, ended, [elapsed_ms], elapsed_ms))
        return results

    def largest_batch(self) -> int:
        """Rows that a batch may have now: as many as half of the free memory has caches for."""
        return largest_batch(free_bytes(self.device), row_bytes(self.config, self.dtype))

    def slots(self, count: int, positions: int | None = None) -> Slots:
        """Caches and codec state for ``count`` streams at a time, for a ``StreamPool``.

        Raises InputError for the implementation ``transformers``, and see ``Slots``.
        """
        if not isinstance(self._generator, FrameStepGenerator):
            raise InputError(
                f"the implementation {self.implementation!r} can't speak several streams",
                "load with implementation='frame'",
            )
        return Slots(
            self.csm, self._generator, self.decoders, self.options, self.transfer, count, positions
        )

    def _rows(
        self, rows: Sequence[tuple[Request, Segment]]
    ) -> list[tuple[np.ndarray, torch.Tensor, Ended]]:
        """Sound, codes ``[K, T]`` and how it ended, of each row, batch by batch.

        Where memory runs out, and safe modes were asked for, a batch is spoken in two halves.
        """
        lengths = [len(part.text) for _, part in rows]
        spoken: dict[int, tuple[np.ndarray, torch.Tensor, Ended]] = {}
        waiting = buckets(lengths, self.largest_batch())
        number = 0
        while waiting:
            bucket = waiting.pop(0)
            made: list[tuple[np.ndarray, torch.Tensor, Ended]] | None = None
            try:
                with memory.speech_named(
                    self.name, self.config, self.dtype, self.device, len(bucket)
                ):
                    made = self._batch([rows[row] for row in bucket], number)
            except OutOfMemory:
                if not self.safe or len(bucket) == 1:
                    raise
            if made is None:  # here the failed attempt's frames are gone, and their tensors
                memory.release(self.device)
                half = (len(bucket) + 1) // 2
                self._note(f"batches of {half:,} instead of {len(bucket):,}")
                waiting[:0] = [bucket[:half], bucket[half:]]
                continue
            spoken.update(zip(bucket, made, strict=True))
            number += 1
        return [spoken[row] for row in range(len(rows))]

    def _batch(
        self, rows: Sequence[tuple[Request, Segment]], number: int
    ) -> list[tuple[np.ndarray, torch.Tensor, Ended]]:
        """As ``_rows``, for one batch, the ``number``-th."""
        first = rows[0][0]
        limits = [self.requests.frame_limit(request, part) for request, part in rows]
        frames = self._generator.frames(
            [request.prompt(part) for request, part in rows],
            first.sampling,
            first.seed + number,
            max(limits),
            first.clock,
        )
        batch = torch.stack(list(frames), dim=2)  # [B, K, T]
        cut = [self._cut(made, limit) for made, limit in zip(batch, limits, strict=True)]
        return [(self._decoded(codes), codes, ended) for codes, ended in cut]

    def _note(self, mode: str) -> None:
        """Says that a safe mode was applied."""
        if mode not in self.safe_modes:
            self.safe_modes = (*self.safe_modes, mode)

    def _true(self, request: Request) -> Generator[Chunk | Speech]:
        """Each frame decoded as it is generated, with the codec's carried state."""
        with self.alone():
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
                    sound = self._heard(decoder.frame(frame[None])[0])
                times_ms.append((time.perf_counter() - started) * 1000)
                sounds.append(sound)
                codes.append(frame)
                yield Chunk(Audio(sound, self.rate_hz), times_ms[-1], len(sounds) - 1)
            total_ms = (time.perf_counter() - started) * 1000
        sound = np.concatenate(sounds) if sounds else np.zeros(0, dtype=np.float32)
        yield self.speech(request, sound, self._stacked(codes), ended, times_ms, total_ms)

    def _pseudo(self, request: Request, *, whole: bool) -> Generator[Chunk | Speech]:
        """All codes first, then all sound, then (unless ``whole``) cut into frames."""
        with self.alone():
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
        yield self.speech(request, sound, codes, ended, times_ms, total_ms)

    def _frames(self, request: Request) -> Generator[torch.Tensor, None, Ended]:
        """Frames ``[K]`` of all parts of the text; returns how it ended."""
        parts: list[Ended] = []
        made = 0
        eos = self.config.codebook_eos_token_id
        for number, part in enumerate(request.parts):
            limit = self.requests.frame_limit(request, part, made)
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
                by_itself = all(code == eos for code in heard[: self.config.num_codebooks - 1])
                if by_itself:
                    break
                made += 1
                yield codes[0]
                looped = self.watches_loops and watch.loops(heard[0])
                if looped:
                    break
            parts.append("loop" if looped else "eos" if by_itself else "cap")
        return worst(parts)

    def _ends(self, codes: torch.Tensor) -> torch.Tensor:
        """Whether codes ``[K, …]`` are end-of-audio frames; the model's last book doesn't count."""
        return (codes[: self.config.num_codebooks - 1] == self.config.codebook_eos_token_id).all(
            dim=0
        )

    def _cut(self, codes: torch.Tensor, limit: int) -> tuple[torch.Tensor, Ended]:
        """``[K, T]`` cut at its end-of-audio frame, a loop or ``limit``, and which it was."""
        codes = codes[:, :limit]
        ends = self._ends(codes).nonzero()
        end = int(ends[0]) if len(ends) else None
        looped = loop_end(codes[0, :end].tolist()) if self.watches_loops else None
        if looped is not None:
            return codes[:, :looped], "loop"
        return (codes, "cap") if end is None else (codes[:, :end], "eos")

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
            if self.decoders.native:
                return self._heard(self._fresh_decoder().step(codes[None])[0])
            return self._heard(self.codec.decode(codes[None]).audio_values[0, 0])

    def _heard(self, samples: torch.Tensor) -> np.ndarray:
        """PCM on the host, float32."""
        return self.transfer.to_host(samples.float()).numpy()

    def _fresh_decoder(self) -> DecoderStream:
        if self._decoder is None or not self.options.buffer_pool:
            self._decoder = self.decoders.stream()
        self._decoder.reset()
        return self._decoder

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the engine for one request, on its own number of CPU threads."""
        if not self._busy.acquire(blocking=False):
            raise InputError(
                f"{self.name} is speaking already",
                "finish or close its stream first, or load a second engine",
            )
        try:
            with (
                failures_named(self.name, self.optimizations),
                speaking(self.options, self.threads),
                memory.speech_named(self.name, self.config, self.dtype, self.device),
            ):
                yield
        finally:
            self._busy.release()

    def speech(
        self,
        request: Request,
        samples: np.ndarray,
        codes: torch.Tensor,
        ended: Ended,
        times_ms: Sequence[float],
        total_ms: float,
    ) -> Speech:
        """What came of ``request``: PCM on the host and codes ``[K, T]``, with their times."""
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
            safe_modes=self.safe_modes,
        )
