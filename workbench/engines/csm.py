"""The CSM engine: text in, speech out, streamed frame by frame."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from workbench.audio import Audio
from workbench.engines.generators import CodeGenerator, FrameStepGenerator, TransformersGenerator
from workbench.engines.speech import Chunk, Ended, Reference, Speech, Streaming
from workbench.engines.stages import StageClock
from workbench.errors import InputError
from workbench.models.csm.load import LoadedCsm
from workbench.models.csm.prompt import Segment, token_ids
from workbench.models.csm.sampling import Sampling
from workbench.models.mimi.streaming import MimiDecoderStream
from workbench.text import checked, segments

GENERATORS: Mapping[str, type[FrameStepGenerator] | type[TransformersGenerator]] = {
    "frame": FrameStepGenerator,
    "transformers": TransformersGenerator,
}
DEFAULT_IMPLEMENTATION = "frame"


@dataclass(frozen=True)
class _Request:
    text: str
    parts: tuple[str, ...]
    voice: int
    context: tuple[Segment, ...]
    seed: int
    sampling: Sampling
    max_frames: int | None
    clock: StageClock


class CsmStream:
    """An iterator over the chunks of one request; ``speech`` is the whole at its end."""

    def __init__(self, chunks: Iterator[Chunk | Speech]) -> None:
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
        self._chunks.close()  # type: ignore[attr-defined]


class CsmEngine:
    """CSM behind the Synthesizer protocol; see ``workbench.load``.

    ``implementation`` is ``frame`` (our frame step) or ``transformers`` (its ``generate``).
    An engine speaks one request at a time.
    """

    def __init__(
        self,
        csm: LoadedCsm,
        *,
        name: str,
        weights: str,
        implementation: str = DEFAULT_IMPLEMENTATION,
        chars_per_part: int = 400,
    ) -> None:
        if implementation not in GENERATORS:
            raise InputError(
                f"no implementation called {implementation!r}", f"use {' or '.join(GENERATORS)}"
            )
        self.name = name
        self.weights = weights
        self.implementation = implementation
        self.voices = csm.voices
        self.csm = csm
        self.config = csm.model.config
        self.codec = csm.model.codec_model
        self.device = csm.model.lm_head.weight.device
        self.dtype = csm.model.lm_head.weight.dtype
        self.rate_hz = int(self.codec.config.sampling_rate)
        self.frame_samples = round(self.rate_hz / self.codec.config.frame_rate)
        self.chars_per_part = chars_per_part
        self._generator: CodeGenerator = GENERATORS[implementation](csm)
        self._decoder: MimiDecoderStream | None = None
        self._busy = threading.Lock()

    def warm_up(self, voice: int | None = None) -> float:
        """Runs a short request once; returns the seconds it took."""
        started = time.perf_counter()
        first = next(iter(self.voices)) if voice is None else voice
        streaming: Streaming = "true" if self._generator.streams else "pseudo"
        for _ in self.stream("warm up", voice=first, seed=0, max_frames=2, streaming=streaming):
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
        request = self._request(text, voice, context, seed, temperature, max_frames, time_stages)
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
        streaming: Streaming = "true",
    ) -> CsmStream:
        """Speaks ``text`` chunk by chunk, a frame of 80 ms each. See ``Synthesizer.stream``.

        Raises InputError where ``true`` is asked of transformers' ``generate``, whose frames
        come only at the end.
        """
        request = self._request(text, voice, context, seed, temperature, max_frames, time_stages)
        if streaming == "pseudo":
            return CsmStream(self._pseudo(request, whole=False))
        if streaming != "true":
            raise InputError(f"no streaming called {streaming!r}", "use 'true' or 'pseudo'")
        if not self._generator.streams:
            raise InputError(
                f"the implementation {self.implementation!r} gives its frames only at the end",
                "use streaming='pseudo', or load with implementation='frame'",
            )
        return CsmStream(self._true(request))

    def synthesize_batch(
        self,
        texts: Sequence[str],
        *,
        voice: int = 0,
        seed: int | None = None,
        temperature: float | None = None,
        max_frames: int | None = None,
    ) -> list[Speech]:
        """Speaks several texts in one batch; all are ready at the end of it."""
        if not texts:
            raise InputError("an empty list of texts", "pass at least one text")
        started = time.perf_counter()
        request = self._request(texts[0], voice, (), seed, temperature, max_frames, False)
        parts = [segments(checked(text), self.chars_per_part) for text in texts]
        rows = [part for group in parts for part in group]
        prompts = [[Segment(part, voice)] for part in rows]
        with self._alone():
            codes = torch.stack(
                list(
                    self._generator.frames(
                        prompts,
                        request.sampling,
                        request.seed,
                        max(self._cap([Segment(r, voice)], request, 0) for r in rows),
                        request.clock,
                    )
                )
            )  # [T, B, K]
            spoken = [
                self._cut(codes[:, row], self._cap(prompts[row], request, 0))
                for row in range(len(rows))
            ]
            sounds = [self._decoded(row_codes) for row_codes, _ in spoken]
        elapsed_ms = (time.perf_counter() - started) * 1000
        results = []
        row = 0
        for text, group in zip(texts, parts, strict=True):
            ended: Ended = "eos" if all(spoken[row + i][1] for i in range(len(group))) else "cap"
            results.append(
                self._speech(
                    replace(request, text=checked(text)),
                    [sounds[row + i] for i in range(len(group))],
                    [spoken[row + i][0] for i in range(len(group))],
                    ended,
                    [elapsed_ms],
                    elapsed_ms,
                    whole=True,
                )
            )
            row += len(group)
        return results

    def _true(self, request: _Request) -> Iterator[Chunk | Speech]:
        """Each frame decoded as it is generated, with the codec's carried state."""
        with self._alone():
            started = time.perf_counter()
            decoder = self._decoder_stream()
            sounds: list[np.ndarray] = []
            codes: list[torch.Tensor] = []
            times_ms: list[float] = []
            ended: Ended = "eos"
            for frame, part_ended in self._frames(request):
                if frame is None:
                    ended = ended if part_ended else "cap"
                    continue
                with request.clock("codec"), torch.inference_mode():
                    sound = decoder.frame(frame[None])[0].float().cpu().numpy()
                times_ms.append((time.perf_counter() - started) * 1000)
                sounds.append(sound)
                codes.append(frame[:, None])
                yield Chunk(Audio(sound, self.rate_hz), times_ms[-1], len(sounds) - 1)
            total_ms = (time.perf_counter() - started) * 1000
        yield self._speech(request, sounds, codes, ended, times_ms, total_ms, whole=False)

    def _pseudo(self, request: _Request, *, whole: bool) -> Iterator[Chunk | Speech]:
        """All codes first, then all sound, then (unless ``whole``) cut into frames."""
        with self._alone():
            started = time.perf_counter()
            frames: list[torch.Tensor] = []
            ended: Ended = "eos"
            for frame, part_ended in self._frames(request):
                if frame is None:
                    ended = ended if part_ended else "cap"
                else:
                    frames.append(frame)
            codes = torch.stack(frames, dim=1) if frames else self._no_codes()
            with request.clock("codec"):
                sound = self._decoded(codes)
            times_ms: list[float] = []
            size = max(len(sound), 1) if whole else self.frame_samples
            for index, offset in enumerate(range(0, len(sound), size)):
                times_ms.append((time.perf_counter() - started) * 1000)
                chunk = Audio(sound[offset : offset + size], self.rate_hz)
                yield Chunk(chunk, times_ms[-1], index)
            total_ms = (time.perf_counter() - started) * 1000
        yield self._speech(request, [sound], [codes], ended, times_ms, total_ms, whole=whole)

    def _frames(self, request: _Request) -> Iterator[tuple[torch.Tensor | None, bool]]:
        """Frames ``[K]`` of all parts of the text; ``(None, ended by itself)`` closes a part."""
        made = 0
        for number, part in enumerate(request.parts):
            prompt = [*request.context, Segment(part, request.voice)]
            cap = self._cap(prompt, request, made)
            if cap <= 0:
                yield None, False
                return
            by_itself = False
            for codes in self._generator.frames(
                [prompt], request.sampling, request.seed + number, cap, request.clock
            ):
                if self._is_end(codes[0]):
                    by_itself = True
                    break
                made += 1
                yield codes[0], False
            yield None, by_itself

    def _is_end(self, frame: torch.Tensor) -> bool:
        return bool((frame[:-1] == self.config.codebook_eos_token_id).all())

    def _cut(self, codes: torch.Tensor, cap: int) -> tuple[torch.Tensor, bool]:
        """``[T, K]`` cut at its end-of-audio frame or ``cap``: ``[K, T']`` and whether it ended."""
        codes = codes[:cap]
        ends = (codes[:, :-1] == self.config.codebook_eos_token_id).all(dim=1).nonzero()
        length = int(ends[0]) if len(ends) else len(codes)
        return codes[:length].T, bool(len(ends))

    def _decoded(self, codes: torch.Tensor) -> np.ndarray:
        """Offline decode of ``[K, T]`` → ``[T * frame_samples]`` float32."""
        if codes.shape[1] == 0:
            return np.zeros(0, dtype=np.float32)
        with torch.inference_mode():
            return self.codec.decode(codes[None]).audio_values[0, 0].float().cpu().numpy()

    def _decoder_stream(self) -> MimiDecoderStream:
        if self._decoder is None:
            self._decoder = MimiDecoderStream(self.codec)
        self._decoder.reset()
        return self._decoder

    def _request(
        self,
        text: str,
        voice: int,
        context: Sequence[Reference],
        seed: int | None,
        temperature: float | None,
        max_frames: int | None,
        time_stages: bool,
    ) -> _Request:
        clock = StageClock(time_stages, self.device)
        with clock("text"):
            text = checked(text)
            parts = tuple(segments(text, self.chars_per_part))
        for speaker in (voice, *(reference.voice for reference in context)):
            if speaker not in self.voices:
                known = ", ".join(f"{key} ({name})" for key, name in self.voices.items())
                raise InputError(f"{self.name} has no voice {speaker}", f"use one of {known}")
        if max_frames is not None and max_frames < 1:
            raise InputError(f"max_frames of {max_frames}", "allow at least one frame (80 ms)")
        spoken: tuple[Segment, ...] = ()
        if context:
            with clock("context"):
                spoken = tuple(self._context(reference) for reference in context)
        return _Request(
            text=text,
            parts=parts,
            voice=voice,
            context=spoken,
            seed=secrets.randbits(31) if seed is None else seed,
            sampling=self._sampling(temperature),
            max_frames=max_frames,
            clock=clock,
        )

    def _context(self, reference: Reference) -> Segment:
        samples = torch.from_numpy(reference.audio.resampled(self.rate_hz).samples)
        if len(samples) < self.frame_samples:
            raise InputError(
                f"a reference of {reference.audio.duration_s:.2f} s is shorter than one frame",
                "use a few seconds of speech",
            )
        with torch.inference_mode():
            codes = self.codec.encode(samples[None, None].to(self.device)).audio_codes[0]
        books = self.config.num_codebooks
        return Segment(checked(reference.text), reference.voice, codes[:books], samples)

    def _sampling(self, temperature: float | None) -> Sampling:
        if temperature is None:
            return self.csm.sampling
        if temperature < 0:
            raise InputError(f"a temperature of {temperature}", "use 0 (greedy) or more")
        return replace(self.csm.sampling, temperature=temperature, depth_temperature=temperature)

    def _cap(self, prompt: Sequence[Segment], request: _Request, made: int) -> int:
        """Frames that the last segment of ``prompt`` may take."""
        from_text = 50 + 5 * len(prompt[-1].text) // 2
        room = self.config.max_position_embeddings - len(token_ids(self.csm, prompt))
        if room < 1:
            raise InputError(
                f"text and context leave no room in the {self.config.max_position_embeddings} "
                f"positions of {self.name}",
                "use a shorter reference",
            )
        wanted = min(from_text, room)
        return wanted if request.max_frames is None else min(request.max_frames - made, room)

    def _no_codes(self) -> torch.Tensor:
        return torch.zeros(self.config.num_codebooks, 0, dtype=torch.int64, device=self.device)

    def _alone(self) -> _Alone:
        return _Alone(self._busy, self.name)

    def _speech(
        self,
        request: _Request,
        sounds: Sequence[np.ndarray],
        codes: Sequence[torch.Tensor],
        ended: Ended,
        times_ms: Sequence[float],
        total_ms: float,
        *,
        whole: bool,
    ) -> Speech:
        samples = np.concatenate(sounds) if sounds else np.zeros(0, dtype=np.float32)
        size = max(len(samples), 1) if whole else self.frame_samples
        return Speech(
            samples=samples,
            rate_hz=self.rate_hz,
            text=request.text,
            voice=request.voice,
            seed=request.seed,
            codes=torch.cat([self._no_codes(), *codes], dim=1).cpu().numpy(),
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


class _Alone:
    """Holds the engine for one request; says so where it is taken."""

    def __init__(self, lock: threading.Lock, name: str) -> None:
        self._lock = lock
        self._name = name

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise InputError(
                f"{self._name} is speaking already",
                "finish or close its stream first, or load a second engine",
            )

    def __exit__(self, *_: object) -> None:
        self._lock.release()
