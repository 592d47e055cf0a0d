"""A request to CSM: checked, cut into parts, its context encoded."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch

from workbench.engines.csm.stages import StageClock
from workbench.engines.csm.tokens import TextTokens
from workbench.engines.csm.transfer import Transfer
from workbench.engines.speech import Reference
from workbench.errors import InputError
from workbench.models.csm.load import LoadedCsm
from workbench.models.csm.prompt import Segment, positions_of
from workbench.models.csm.sampling import Sampling
from workbench.models.mimi.onednn import right_convolutions
from workbench.models.mimi.streaming import offline_latents
from workbench.native.mimi import encode_latents
from workbench.text import checked, segments

# A frame limit for models that run on: generous against slow speech (a character takes about one
# frame) and against digits, which are short to write and long to say.
_CAP_FRAMES = 50
_CAP_FRAMES_PER_CHAR = 2.5


@dataclass(frozen=True)
class Request:
    """What to say and how. ``parts`` are the pieces of ``text`` that are spoken one by one, with
    their tokens.

    ``prepared_s`` is what reading the request took, its context's encoding included: it belongs
    to the time to first audio, unlike the wait until a stream's first chunk is asked for.
    """

    text: str
    parts: tuple[Segment, ...]
    voice: int
    context: tuple[Segment, ...]
    seed: int
    sampling: Sampling
    max_frames: int | None
    clock: StageClock
    prepared_s: float = 0.0

    def prompt(self, part: Segment) -> list[Segment]:
        """Context, then ``part``."""
        return [*self.context, part]


class RequestReader:
    """Turns a call's arguments into requests, or refuses them with an InputError."""

    def __init__(
        self,
        csm: LoadedCsm,
        name: str,
        chars_per_part: int,
        tokens: TextTokens,
        transfer: Transfer,
        codec: str,
        native_rvq: bool = False,
    ) -> None:
        self._csm = csm
        self._codec = codec
        self._name = name
        self._chars_per_part = chars_per_part
        self._tokens = tokens
        self._transfer = transfer
        self._native_rvq = native_rvq
        self._config = csm.model.config

    def read(
        self,
        texts: Sequence[str],
        *,
        voice: int,
        context: Sequence[Reference] = (),
        seed: int | None,
        temperature: float | None,
        max_frames: int | None,
        time_stages: bool = False,
    ) -> list[Request]:
        """A request for each text. Checks everything before any work is done; encodes the
        context's sound and tokenizes all that is said.

        Without a ``seed`` one is drawn for all.
        """
        started = time.perf_counter()
        clock = StageClock(time_stages, self._csm.model.lm_head.weight.device)
        with clock("text"):
            texts = [checked(text) for text in texts]
            cut = [segments(text, self._chars_per_part) for text in texts]
        for speaker in (voice, *(reference.voice for reference in context)):
            self._check_voice(speaker)
        if max_frames is not None and max_frames < 1:
            raise InputError(f"max_frames of {max_frames}", "allow at least one frame (80 ms)")
        sampling = self._sampling(temperature)
        spoken: list[Segment] = []
        if context:
            with clock("context"):
                spoken = [self._encoded(reference) for reference in context]
        with clock("text"):
            pending = [*spoken, *(Segment(part, voice) for parts in cut for part in parts)]
            ids = self._tokens([(one.voice, one.text) for one in pending])
            said = iter(replace(one, ids=own) for one, own in zip(pending, ids, strict=True))
            heard = tuple(islice(said, len(spoken)))
        seed = secrets.randbits(31) if seed is None else seed
        requests = [
            Request(
                text=text,
                parts=tuple(islice(said, len(parts))),
                voice=voice,
                context=heard,
                seed=seed,
                sampling=sampling,
                max_frames=max_frames,
                clock=clock,
            )
            for text, parts in zip(texts, cut, strict=True)
        ]
        for request in requests:
            for part in request.parts:  # one that can't fit is refused before any is spoken
                self.frame_limit(request, part)
        prepared_s = (time.perf_counter() - started) / len(requests)
        return [replace(request, prepared_s=prepared_s) for request in requests]

    def frame_limit(self, request: Request, part: Segment, made: int = 0) -> int:
        """Frames that ``part`` may take after ``made`` frames of the request.

        Raises InputError where text and context leave no room in the model's positions.
        """
        positions: int = self._config.max_position_embeddings
        room = positions - positions_of(request.prompt(part))
        if room < 1:
            raise InputError(
                f"text and context leave no room in the {positions} positions of {self._name}",
                "use a shorter reference",
            )
        if request.max_frames is not None:
            return min(request.max_frames - made, room)
        return min(_CAP_FRAMES + int(_CAP_FRAMES_PER_CHAR * len(part.text)), room)

    def _check_voice(self, voice: int) -> None:
        voices = self._csm.voices
        if voice not in voices:
            known = ", ".join(f"{key} ({name})" for key, name in voices.items())
            raise InputError(f"{self._name} has no voice {voice}", f"use one of {known}")

    def _sampling(self, temperature: float | None) -> Sampling:
        if temperature is None:
            return self._csm.sampling
        if temperature < 0:
            raise InputError(f"a temperature of {temperature}", "use 0 (greedy) or more")
        return replace(self._csm.sampling, temperature=temperature, depth_temperature=temperature)

    def encoded(self, reference: Reference) -> Reference:
        """``reference`` with its codes, of all codebooks that the codec has.

        Raises InputError for sound shorter than one frame, and for codes of another codec.
        """
        if reference.codes is None:
            codes = self._codes(self._samples(reference)).cpu().numpy()
            return replace(reference, codes=codes, codec=self._codec)
        if reference.codec != self._codec:
            raise InputError(
                f"a reference encoded by {reference.codec} for {self._codec}",
                "encode it again: engine.encoded(Reference(audio, text, voice))",
            )
        return reference

    def _encoded(self, reference: Reference) -> Segment:
        samples = self._samples(reference)
        if reference.codes is None:
            codes = self._codes(samples)
        else:
            known = np.asarray(self.encoded(reference).codes, dtype=np.int64)
            codes = self._transfer.to_device(torch.from_numpy(known))
        return Segment(
            text=checked(reference.text),
            voice=reference.voice,
            codes=codes[: self._config.num_codebooks],
            samples=samples,
        )

    def _samples(self, reference: Reference) -> torch.Tensor:
        """The reference's sound ``[T]`` at the codec's rate."""
        codec = self._csm.model.codec_model.config
        rate_hz = int(codec.sampling_rate)
        samples = torch.from_numpy(reference.audio.resampled(rate_hz).samples)
        if len(samples) < rate_hz / codec.frame_rate:
            raise InputError(
                f"a reference of {reference.audio.duration_s:.2f} s is shorter than one frame",
                "use a few seconds of speech",
            )
        return samples

    def _codes(self, samples: torch.Tensor) -> torch.Tensor:
        """Codes ``[K, F]`` of ``samples`` ``[T]``."""
        codec = self._csm.model.codec_model
        with torch.inference_mode(), right_convolutions(codec):
            sound = self._transfer.to_device(samples).to(codec.dtype)
            if self._native_rvq:
                return encode_latents(codec, offline_latents(codec, sound[None, None]))[0]
            codes: torch.Tensor = codec.encode(sound[None, None]).audio_codes[0]
            return codes
