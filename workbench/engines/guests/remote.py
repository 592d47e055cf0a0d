"""A guest engine behind the Synthesizer protocol: asked here, spoken in its own process."""

from __future__ import annotations

import contextlib
import math
import secrets
import time
import weakref
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, get_args

import numpy as np

from workbench.audio import Audio
from workbench.engines.csm.stream import CsmStream as ChunkStream
from workbench.engines.guests.catalogue import Guest
from workbench.engines.guests.hosted import About, Ending, Request
from workbench.engines.speech import Chunk, Ended, Reference, Speech, SpeechStream
from workbench.errors import InputError
from workbench.optimizations.options import Streaming
from workbench.text import checked

FRAME_S = 0.08  # in which speech is counted and limited, whatever an engine's own step is


class Process(Protocol):
    """Where the engine lives: a ``Worker``, or this process."""

    def call(self, method: str, *args: Any) -> Any:
        """A method's result."""
        ...

    def stream(self, method: str, *args: Any) -> Generator[Any]:
        """A method's items as they are made."""
        ...

    def close(self) -> None:
        """Ends it."""
        ...


@dataclass(frozen=True)
class Device:
    """Where an engine runs, as ``torch.device`` says it; not every guest has PyTorch."""

    type: str
    index: int | None = None

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"


@dataclass(frozen=True)
class GuestOptions:
    """How a guest runs, as records keep it."""

    streaming: Streaming
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


class GuestEngine:
    """A guest engine; see ``workbench.load`` and ``docs/engines.md``.

    It streams in the pieces that the engine makes: sentences, or parts of at most so many
    characters. Times are taken here, the way between the processes included. Sound is counted in
    frames of 80 ms, and ``Speech.codes`` has no rows: these engines have no codes in common.
    ``left_out`` says what of the protocol or of a preset this engine can't do.
    """

    safe_modes: tuple[str, ...] = ()  # that ladder is CSM's

    def __init__(self, guest: Guest, process: Process) -> None:
        self._process = process
        self._end = weakref.finalize(self, process.close)
        self.loaded: About = process.call("about")
        versions: dict[str, str] = process.call("versions")
        self.name = guest.name
        self.implementation = f"{guest.distribution} {versions.get(guest.distribution, '')}".strip()
        self.weights = self.loaded.weights
        self.rate_hz = self.loaded.rate_hz
        self.voices = dict(self.loaded.voices)
        self.dtype = self.loaded.dtype
        self.threads = self.loaded.threads
        self.optimizations = self.loaded.optimizations
        self.left_out = dict(self.loaded.left_out)
        self.options = GuestOptions("true", dict(self.loaded.settings), versions)

    @property
    def device(self) -> Device:
        """Where it runs."""
        kind, _, index = self.loaded.device.partition(":")
        return Device(kind, int(index) if index else None)

    def warm_up(self) -> float:
        """Does once what only the first request needs; returns the seconds it took."""
        return float(self._process.call("warm_up"))

    def peak_rss_bytes(self) -> float:
        """Most memory that the engine's process has had."""
        return float(self._process.call("peak_rss_bytes"))

    def close(self) -> None:
        """Ends the engine's process; it also ends when the engine is no longer used."""
        self._end()

    def __enter__(self) -> GuestEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
        """Speaks ``text`` and returns the whole. See ``Synthesizer.synthesize``."""
        request = self._request(text, voice, context, seed, temperature, max_frames, time_stages)
        return self._whole(request)

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
    ) -> SpeechStream:
        """Speaks ``text`` piece by piece. See ``Synthesizer.stream``.

        ``true`` hands over each piece when it is made; ``pseudo`` waits for all of them and cuts
        the sound into frames of 80 ms.
        """
        if streaming is not None and streaming not in get_args(Streaming):
            raise InputError(f"no streaming called {streaming!r}", "use 'true' or 'pseudo'")
        request = self._request(text, voice, context, seed, temperature, max_frames, time_stages)
        pieces = self._pieces(request)
        return ChunkStream(self._cut(pieces) if streaming == "pseudo" else pieces)

    def synthesize_batch(
        self,
        texts: Sequence[str],
        *,
        voice: int = 0,
        seed: int | None = None,
        temperature: float | None = None,
        max_frames: int | None = None,
    ) -> list[Speech]:
        """Speaks several texts, one after another: guests have no batches."""
        if not texts:
            raise InputError("an empty list of texts", "pass at least one text")
        seed = secrets.randbits(31) if seed is None else seed
        requests = [
            self._request(text, voice, (), seed, temperature, max_frames, False) for text in texts
        ]
        return [self._whole(request) for request in requests]

    def _whole(self, request: Request) -> Speech:
        whole = next(item for item in self._pieces(request) if isinstance(item, Speech))
        at_once = [whole.generation_ms] if len(whole) else []
        return _handed_over(whole, at_once, [len(whole)] * len(at_once))

    def _request(
        self,
        text: str,
        voice: int,
        context: Sequence[Reference],
        seed: int | None,
        temperature: float | None,
        max_frames: int | None,
        time_stages: bool,
    ) -> Request:
        if voice not in self.voices:
            raise InputError(f"{self.name} has no voice {voice}", f"use {_known(self.voices)}")
        if max_frames is not None and max_frames < 1:
            raise InputError(f"max_frames of {max_frames}", "allow at least one frame (80 ms)")
        if context and self.loaded.references == "none":
            raise InputError(
                f"{self.name} speaks with the voices of its file and can't clone one",
                "leave the reference out, or use chatterbox, f5 or fish",
            )
        if not context and self.loaded.references == "required":
            raise InputError(
                f"{self.name} needs a reference: the sound of a voice and the words said in it",
                "pass context=[Reference(Audio.read(path), text)], or load it with reference=",
            )
        return Request(
            text=checked(text),
            voice=voice,
            context=tuple(context),
            seed=secrets.randbits(31) if seed is None else seed,
            temperature=temperature,
            max_s=None if max_frames is None else max_frames * FRAME_S,
            time_stages=time_stages,
        )

    def _pieces(self, request: Request) -> Generator[Chunk | Speech]:
        """The engine's pieces as they come, cut at the frame limit, then the whole speech."""
        limit = None if request.max_s is None else round(request.max_s * self.rate_hz)
        sounds: list[np.ndarray] = []
        times_ms: list[float] = []
        ending, made, cut = Ending(), 0, False
        started = time.perf_counter()
        items = self._process.stream("speak", request)
        with contextlib.closing(items):
            for item in items:
                if isinstance(item, Ending):
                    ending = item
                    continue
                sound = item if limit is None else item[: limit - made]
                cut = cut or len(sound) < len(item)
                if not len(sound):
                    if cut:
                        break
                    continue
                made += len(sound)
                sounds.append(sound)
                times_ms.append((time.perf_counter() - started) * 1000)
                yield Chunk(Audio(sound, self.rate_hz), times_ms[-1], len(sounds) - 1)
                if cut:
                    break
            # Before the engine is stopped, which may have to wait for the piece it is at.
            total_ms = (time.perf_counter() - started) * 1000
        whole = np.concatenate(sounds) if sounds else np.zeros(0, np.float32)
        lengths = tuple(len(sound) for sound in sounds)
        ended: Ended = "cap" if cut else ending.ended
        yield self._speech(request, whole, ended, tuple(times_ms), lengths, total_ms, ending)

    def _cut(self, pieces: Generator[Chunk | Speech]) -> Generator[Chunk | Speech]:
        """All pieces first, then frames of 80 ms."""
        started = time.perf_counter()
        whole = next(item for item in pieces if isinstance(item, Speech))
        size = round(FRAME_S * self.rate_hz)
        times_ms: list[float] = []
        lengths: list[int] = []
        for begin in range(0, len(whole), size):
            sound = whole.samples[begin : begin + size]
            times_ms.append((time.perf_counter() - started) * 1000)
            lengths.append(len(sound))
            yield Chunk(Audio(sound, self.rate_hz), times_ms[-1], len(lengths) - 1)
        yield _handed_over(whole, times_ms, lengths)

    def _speech(
        self,
        request: Request,
        sound: np.ndarray,
        ended: Ended,
        times_ms: tuple[float, ...],
        lengths: tuple[int, ...],
        total_ms: float,
        ending: Ending,
    ) -> Speech:
        frames = math.ceil(len(sound) / (FRAME_S * self.rate_hz))
        return Speech(
            samples=sound,
            rate_hz=self.rate_hz,
            text=request.text,
            voice=request.voice,
            seed=request.seed,
            codes=np.zeros((0, frames), np.int64),
            ended=ended,
            generation_ms=total_ms,
            chunks_ms=times_ms,
            chunks_samples=lengths,
            implementation=self.implementation,
            weights=self.weights,
            stages_ms=dict(ending.stages_ms),
        )


def _handed_over(speech: Speech, times_ms: Sequence[float], lengths: Sequence[int]) -> Speech:
    """``speech`` as the chunks in which it reached who asked."""
    return replace(speech, chunks_ms=tuple(times_ms), chunks_samples=tuple(lengths))


def _known(voices: Mapping[int, str]) -> str:
    """Voices in words: each by name, or their range where there are many."""
    if len(voices) > 8:
        return f"a number from {min(voices)} to {max(voices)}"
    return ", ".join(f"{number} ({name})" for number, name in voices.items())
