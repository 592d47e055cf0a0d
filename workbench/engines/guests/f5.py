"""F5-TTS: flow matching over mel spectrograms, in the voice of a reference (arXiv 2410.06885)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.audio import Audio
from workbench.engines.guests.f5_parts import (
    HOP,
    chars_per_part,
    ended,
    frames,
    joined,
    made_up,
    prepared,
)
from workbench.engines.guests.hosted import About, Ending, Request, Wanted
from workbench.engines.guests.spanish import normalized
from workbench.engines.speech import Reference
from workbench.errors import InputError
from workbench.text import segments

if TYPE_CHECKING:
    from workbench.engines.guests.torch_guest import Stages

_FADE_S = 0.15  # over which one part passes into the next
_MAX_FRAMES = 4_096  # mel frames: 43 s, all that the first release has positions for
ODE_METHODS = {"euler": 1, "midpoint": 2, "rk4": 4}  # evaluations of the network a step


@dataclass(frozen=True)
class Settings:
    """F5's own settings.

    ``reference`` (a sound file of at most 12 s) and ``reference_text`` are the voice where a
    request brings none. ``nfe_step`` is the number of ODE steps; with ``epss`` 5, 6, 7, 10, 12
    and 16 of them lie where they matter most (arXiv 2505.19931), and ``sway`` moves them towards
    the start (None: evenly). ``cfg_strength`` is the guidance; 0 halves the work. ``language``
    "es" writes out numbers and abbreviations in Spanish. ``use_fp16`` takes the device's 16-bit
    type (None: on a GPU only). ``architecture`` is ``v1``, ``v0`` or known from the hub id.
    """

    reference: str | None = None
    reference_text: str = ""
    nfe_step: int = 16
    cfg_strength: float = 2.0
    sway: float | None = -1.0
    epss: bool = True
    ode_method: str = "euler"
    speed: float = 1.0
    language: str = ""
    use_fp16: bool | None = None
    architecture: str = "auto"
    vocoder: str = "charactr/vocos-mel-24khz"

    def __post_init__(self) -> None:
        if not 1 <= self.nfe_step <= 128:
            raise InputError(
                f"nfe_step={self.nfe_step}", "use 1 to 128; 16 is usual, 32 for quality"
            )
        if self.cfg_strength < 0:
            raise InputError(f"cfg_strength={self.cfg_strength}", "use 0 or more; 2 is usual")
        if self.sway is not None and not -1 <= self.sway <= 2 / (np.pi - 2):
            raise InputError(f"sway={self.sway}", "use -1 (towards the start) to 1.75, or None")
        if self.ode_method not in ODE_METHODS:
            raise InputError(f"ode_method={self.ode_method!r}", f"use {', '.join(ODE_METHODS)}")
        if not 0.2 <= self.speed <= 5:
            raise InputError(f"speed={self.speed}", "use 0.2 to 5")
        if self.language not in ("", "es"):
            raise InputError(
                f"language={self.language!r}", "use 'es', or nothing for text that is written out"
            )
        if self.reference is not None and not self.reference_text.strip():
            raise InputError(
                "a reference without its words", "say in reference_text what is spoken in it"
            )


class F5:
    """F5-TTS in its own environment."""

    def __init__(self, wanted: Wanted) -> None:
        import torch

        from workbench.engines.guests.f5_model import RATE_HZ, load_f5
        from workbench.engines.guests.torch_guest import running

        self._settings = settings = Settings(**wanted.settings)
        if settings.use_fp16 is not None:
            wanted = _with_fp16(wanted, settings.use_fp16)
        self._running = running("f5", wanted)
        self._rate_hz = RATE_HZ
        loaded = load_f5(
            wanted, settings.architecture, settings.vocoder, ode_method=settings.ode_method
        )
        self._loaded = loaded
        self._model = loaded.model.to(self._running.device, self._running.dtype)
        # The inverse STFT stays in float32: half-precision transforms take powers of two only.
        self._vocoder = loaded.vocoder.to(self._running.device, torch.float32)
        self._running.compiled(list(self._model.transformer.transformer_blocks))
        self._reference: Reference | None = None
        if settings.reference is not None:
            self._reference = Reference(Audio.read(settings.reference), settings.reference_text)
        elif wanted.random:
            self._reference = made_up(RATE_HZ)
        if self._running.options.warm_up:
            self.warm_up()

    def about(self) -> About:
        """What was loaded, and with which settings."""
        from workbench.engines.guests.torch_guest import weights_bytes

        options = self._running.options
        settings = {**asdict(self._settings), "architecture": self._loaded.architecture}
        return About(
            weights=self._loaded.weights,
            rate_hz=self._rate_hz,
            voices={0: "the reference"},
            device=str(self._running.device),
            dtype=options.autocast_dtype or options.dtype,
            threads=self._running.threads,
            optimizations=self._running.optimizations,
            left_out={
                **self._running.left_out,
                "temperature": "flow matching starts from noise of one size and has none",
            },
            settings={**settings, "compile": options.compile_mode},
            weights_bytes=weights_bytes(self._model, self._vocoder),
            references="required" if self._reference is None else "optional",
        )

    def warm_up(self) -> float:
        """Speaks a short text once."""
        started = time.perf_counter()
        reference = self._reference or made_up(self._rate_hz)
        request = Request("warm up", 0, (reference,), 0, None, None, False)
        for _ in self.speak(request):
            pass
        return time.perf_counter() - started

    def speak(self, request: Request) -> Iterator[np.ndarray | Ending]:
        """A piece for each part of the text, passing into the next over 150 ms."""
        from workbench.engines.guests.torch_guest import Stages

        if request.temperature is not None:
            raise InputError(
                "f5 has no temperature", "leave it out; cfg_strength and nfe_step are its settings"
            )
        if len(request.context) > 1:
            raise InputError(f"f5 with {len(request.context)} references", "pass a single one")
        reference = request.context[0] if request.context else self._reference
        if reference is None:
            raise InputError("f5 without a reference", "pass one, or load it with reference=")
        stages = Stages(request.time_stages, self._running.device)
        with stages("text"):
            sound, gain = prepared(reference, self._rate_hz)
            said = ended(self._written(reference.text))
            room = chars_per_part(said, len(sound) / self._rate_hz, self._settings.speed)
            parts = segments(self._written(request.text), room)
        tail = np.zeros(0, np.float32)
        fade = round(_FADE_S * self._rate_hz)
        for number, part in enumerate(parts):
            spoken = self._part(part, said, sound, request.seed + number, stages)
            piece, tail = joined(tail, spoken * np.float32(gain), fade)
            yield np.concatenate([piece, tail]) if number == len(parts) - 1 else piece
        yield Ending(stages_ms=stages.ms)

    def _written(self, text: str) -> str:
        return normalized(text) if self._settings.language == "es" else text

    def _part(
        self, text: str, said: str, reference: np.ndarray, seed: int, stages: Stages
    ) -> np.ndarray:
        """The sound ``[T]`` of one part, without the reference before it."""
        import torch
        from f5_tts.model.utils import convert_char_to_pinyin

        settings = self._settings
        given = len(reference) // HOP
        total = given + frames(text, said, given, settings.speed)
        if total > _MAX_FRAMES:
            seconds = total * HOP / self._rate_hz
            raise InputError(
                f"f5: {text[:40]!r} would take {seconds:.0f} s, reference included",
                "use a shorter reference, or one spoken faster",
            )
        with self._running.speaking():
            with stages("flow"), self._running.networks():
                mel, _ = self._model.sample(
                    cond=torch.from_numpy(reference)[None].to(self._running.device),
                    text=convert_char_to_pinyin([said + text]),
                    duration=total,
                    steps=settings.nfe_step,
                    cfg_strength=settings.cfg_strength,
                    sway_sampling_coef=settings.sway,
                    use_epss=settings.epss,
                    seed=seed,
                )
            with stages("vocoder"):
                made = self._vocoder(mel[:, given:].float().transpose(1, 2))
                samples: np.ndarray = made[0].to("cpu", torch.float32).numpy()
        return samples


def _with_fp16(wanted: Wanted, on: bool) -> Wanted:
    """``wanted`` in the device's 16-bit type, or in float32; InputError where both are said."""
    if wanted.dtype is not None or wanted.optimizations:
        raise InputError(
            "use_fp16 beside dtype or optimizations", "say the type in one of these ways"
        )
    if not on:
        return replace(wanted, dtype="float32")
    return replace(wanted, optimizations=("inference_mode", "hybrid_precision"))
