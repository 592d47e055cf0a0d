"""What a synthesizer takes and gives: references, chunks, finished speech."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from workbench.audio import Audio
from workbench.optimizations.options import Streaming

Ended = Literal["eos", "cap", "loop"]


def worst(parts: Sequence[Ended]) -> Ended:
    """How a text ended whose parts ended so: by itself only if all of them did."""
    return "loop" if "loop" in parts else "cap" if "cap" in parts else "eos"


@dataclass(frozen=True)
class Reference:
    """A voice to speak on from: ``audio`` and the ``text`` said in it, by speaker id ``voice``.

    ``codes`` ``[K, T]`` are ``audio`` as the codec called ``codec`` has encoded it before, so that
    a request need not (``CsmEngine.encoded``); None: each request encodes it.
    """

    audio: Audio
    text: str
    voice: int = 0
    codes: np.ndarray | None = None
    codec: str | None = None


@dataclass(frozen=True)
class Chunk:
    """PCM as it reached the host ``at_ms`` after the request."""

    audio: Audio
    at_ms: float
    index: int


@dataclass(frozen=True)
class Speech(Audio):
    """Audio with how it came about.

    ``codes`` is ``[K, T]`` int64, one column a frame. ``ended`` is ``eos`` where the model ended
    by itself, ``cap`` where the frame limit cut it and ``loop`` where it said nothing new.
    ``chunks_ms`` and ``chunks_samples`` tell when each chunk of PCM reached the host and how long
    it was. ``stages_ms`` is filled where stage timing was asked for.
    """

    text: str
    voice: int
    seed: int
    codes: np.ndarray
    ended: Ended
    generation_ms: float
    chunks_ms: tuple[float, ...]
    chunks_samples: tuple[int, ...]
    implementation: str
    weights: str
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    safe_modes: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """Generated frames (80 ms each), the end-of-audio frame not counted."""
        return int(self.codes.shape[1])

    @property
    def ttfa_ms(self) -> float:
        """Time to first audio: request to first PCM on the host."""
        return self.chunks_ms[0]

    @property
    def rtf(self) -> float:
        """Real-time factor: generation time / audio time; below 1 is faster than real time."""
        return self.generation_ms / 1000 / self.duration_s

    @property
    def chars_per_s(self) -> float:
        """Characters of text spoken per second of generation."""
        return len(self.text) / (self.generation_ms / 1000)


class SpeechStream(Protocol):
    """An iterator of chunks; ``speech`` is the whole once the chunks are through."""

    def __iter__(self) -> Iterator[Chunk]:
        """Chunks in order, each as soon as its PCM is on the host."""
        ...

    def __next__(self) -> Chunk:
        """The next chunk."""
        ...

    @property
    def speech(self) -> Speech:
        """The finished speech; InputError while chunks are still to come."""
        ...

    def close(self) -> None:
        """Stops generating and frees what the stream holds."""
        ...


class Synthesizer(Protocol):
    """Text in, speech out.

    Greedy decoding is ``temperature=0``; ``None`` takes the checkpoint's own settings. A given
    ``seed`` gives the same speech again, streamed or not; without one a seed is drawn and told.
    """

    name: str
    implementation: str
    weights: str
    rate_hz: int
    voices: Mapping[int, str]

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
        """Speaks ``text`` and returns the whole."""
        ...

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
        """Speaks ``text`` chunk by chunk; ``streaming`` defaults to the engine's own way.

        ``true`` decodes each frame as it is generated; ``pseudo`` generates all, then decodes
        and cuts into chunks, which is what FERN does.
        """
        ...

    def synthesize_batch(
        self,
        texts: Sequence[str],
        *,
        voice: int = 0,
        seed: int | None = None,
        temperature: float | None = None,
        max_frames: int | None = None,
    ) -> list[Speech]:
        """Speaks several texts in one batch."""
        ...
