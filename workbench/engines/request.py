"""A request to CSM: checked, cut into parts, its context encoded."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from workbench.engines.speech import Reference
from workbench.engines.stages import StageClock
from workbench.errors import InputError
from workbench.models.csm.load import LoadedCsm
from workbench.models.csm.prompt import Segment, token_ids
from workbench.models.csm.sampling import Sampling
from workbench.text import checked, segments

# A frame limit for models that run on: generous against slow speech (a character takes about one
# frame) and against digits, which are short to write and long to say.
_CAP_FRAMES = 50
_CAP_FRAMES_PER_CHAR = 2.5


@dataclass(frozen=True)
class Request:
    """What to say and how. ``parts`` are the pieces of ``text`` that are spoken one by one.

    ``prepared_s`` is what reading the request took, its context's encoding included: it belongs
    to the time to first audio, unlike the wait until a stream's first chunk is asked for.
    """

    text: str
    parts: tuple[str, ...]
    voice: int
    context: tuple[Segment, ...]
    seed: int
    sampling: Sampling
    max_frames: int | None
    clock: StageClock
    prepared_s: float = 0.0

    def prompt(self, part: str) -> list[Segment]:
        """Context, then ``part``."""
        return [*self.context, Segment(part, self.voice)]


class RequestReader:
    """Turns a call's arguments into a ``Request``, or refuses them with an InputError."""

    def __init__(self, csm: LoadedCsm, name: str, chars_per_part: int) -> None:
        self._csm = csm
        self._name = name
        self._chars_per_part = chars_per_part
        self._config = csm.model.config

    def read(
        self,
        text: str,
        *,
        voice: int,
        context: Sequence[Reference] = (),
        seed: int | None,
        temperature: float | None,
        max_frames: int | None,
        time_stages: bool = False,
    ) -> Request:
        """Checks everything before any work is done; encodes the context's sound."""
        started = time.perf_counter()
        clock = StageClock(time_stages, self._csm.model.lm_head.weight.device)
        with clock("text"):
            text = checked(text)
            parts = tuple(segments(text, self._chars_per_part))
        for speaker in (voice, *(reference.voice for reference in context)):
            self._check_voice(speaker)
        if max_frames is not None and max_frames < 1:
            raise InputError(f"max_frames of {max_frames}", "allow at least one frame (80 ms)")
        sampling = self._sampling(temperature)
        spoken: tuple[Segment, ...] = ()
        if context:
            with clock("context"):
                spoken = tuple(self._encoded(reference) for reference in context)
        request = Request(
            text=text,
            parts=parts,
            voice=voice,
            context=spoken,
            seed=secrets.randbits(31) if seed is None else seed,
            sampling=sampling,
            max_frames=max_frames,
            clock=clock,
        )
        for part in parts:  # a part that can't fit is refused now, not after the parts before it
            self.frame_limit(request, part)
        return replace(request, prepared_s=time.perf_counter() - started)

    def frame_limit(self, request: Request, part: str, made: int = 0) -> int:
        """Frames that ``part`` may take after ``made`` frames of the request.

        Raises InputError where text and context leave no room in the model's positions.
        """
        positions: int = self._config.max_position_embeddings
        room = positions - len(token_ids(self._csm, request.prompt(part)))
        if room < 1:
            raise InputError(
                f"text and context leave no room in the {positions} positions of {self._name}",
                "use a shorter reference",
            )
        if request.max_frames is not None:
            return min(request.max_frames - made, room)
        return min(_CAP_FRAMES + int(_CAP_FRAMES_PER_CHAR * len(part)), room)

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

    def _encoded(self, reference: Reference) -> Segment:
        codec = self._csm.model.codec_model
        rate_hz = int(codec.config.sampling_rate)
        samples = torch.from_numpy(reference.audio.resampled(rate_hz).samples)
        if len(samples) < rate_hz / codec.config.frame_rate:
            raise InputError(
                f"a reference of {reference.audio.duration_s:.2f} s is shorter than one frame",
                "use a few seconds of speech",
            )
        with torch.inference_mode():
            codes = codec.encode(samples[None, None].to(codec.device)).audio_codes[0]
        return Segment(
            text=checked(reference.text),
            voice=reference.voice,
            codes=codes[: self._config.num_codebooks],
            samples=samples,
        )
