"""The CSM engine: text in, speech out, streamed frame by frame."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import numpy as np
import torch

from workbench.engines.conditions import failures_named, gradients_off, speaking
from workbench.engines.csm import memory
from workbench.engines.csm.batched import BatchSpeaker
from workbench.engines.csm.batches import free_bytes, largest_batch, row_bytes
from workbench.engines.csm.decoders import Decoders
from workbench.engines.csm.frame_generator import FrameStepGenerator
from workbench.engines.csm.generators import CodeGenerator
from workbench.engines.csm.request import Request, RequestReader
from workbench.engines.csm.single import SingleSpeaker, Spoken
from workbench.engines.csm.slots import Slots
from workbench.engines.csm.sound import Sound
from workbench.engines.csm.stream import CsmStream
from workbench.engines.csm.tokens import TextTokens
from workbench.engines.csm.transfer import StagedTransfer, Transfer
from workbench.engines.csm.transformers_generator import TransformersGenerator
from workbench.engines.speech import Chunk, Ended, Reference, Speech, Streaming
from workbench.errors import InputError
from workbench.models.csm.load import LoadedCsm
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
        self._busy = threading.Lock()
        # Noise from random weights says nothing, so nothing can be said again.
        self.watches_loops = weights != "random"
        self.sound = Sound(self.decoders, options, self.transfer)
        self._single = SingleSpeaker(
            self._generator,
            self.sound,
            self.requests,
            self.config,
            self.rate_hz,
            self.frame_samples,
            self.watches_loops,
        )
        self._batched = BatchSpeaker(
            self._generator,
            self.sound,
            self.requests,
            self.config,
            self.device,
            self.watches_loops,
            self.largest_batch,
            self._shortage_named,
            self._note if safe else None,
        )

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
        stream = CsmStream(self._speaks(request, self._single.pseudo(request, whole=True)))
        for _ in stream:
            pass
        return stream.speech

    def _speaks(
        self, request: Request, making: Generator[Chunk, None, Spoken]
    ) -> Generator[Chunk | Speech]:
        """The chunks as they are made, then the whole."""
        with self.alone():
            made = yield from making
        yield self.speech(request, *made)

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
        single = self._single
        making = (
            single.true(request) if streaming == "true" else single.pseudo(request, whole=False)
        )
        return CsmStream(self._speaks(request, making))

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
        with self.alone():
            made = self._batched.speak(requests)
        total_ms = (time.perf_counter() - started) * 1000
        return [
            self.speech(request, *whole, [total_ms], total_ms)
            for request, whole in zip(requests, made, strict=True)
        ]

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

    def _shortage_named(self, rows: int = 1) -> AbstractContextManager[None]:
        return memory.speech_named(self.name, self.config, self.dtype, self.device, rows)

    def _note(self, mode: str) -> None:
        """Says that a safe mode was applied."""
        if mode not in self.safe_modes:
            self.safe_modes = (*self.safe_modes, mode)

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
                self._shortage_named(),
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
