"""Fish-Speech: two transformers from text to a codec's tokens, in the voice of references.

Fish Audio's package 0.1.0 with OpenAudio S1 mini (Liao et al., arXiv 2411.01156). The networks,
their sampling and the prompt's form are the package's; it speaks a whole text at once, and parts
of it, each after those before, are what is made of it here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.audio import Audio
from workbench.engines.guests.hosted import About, Ending, Request, Wanted
from workbench.engines.speech import Ended, Reference, worst
from workbench.errors import InputError
from workbench.text import segments

if TYPE_CHECKING:
    import torch

    from workbench.engines.guests.fish_tokens import Said, Sampling
    from workbench.engines.guests.torch_guest import Stages

_MIN_POSITIONS = 256
_REFERENCES_KEPT = 8


@dataclass(frozen=True)
class Settings:
    """Fish-Speech's own settings; the defaults are the package's.

    ``reference`` (a sound file of 0.5 to 30 s, best 10 and more) and ``reference_text`` are the
    voice where a request brings none; without any it is drawn with the seed. ``temperature`` is
    that of requests without one. ``chunk_length`` is how many characters are spoken at once, and
    so how soon the first sound comes; each part is spoken after those before, or with
    ``iterative_prompt=False`` by itself. ``max_new_tokens`` bounds a part's frames, 21.5 a
    second, and ``max_seq_len`` references, text and speech together (None: the checkpoint's own).
    """

    reference: str | None = None
    reference_text: str = ""
    temperature: float = 0.8
    top_p: float = 0.8
    repetition_penalty: float = 1.1
    chunk_length: int = 200
    iterative_prompt: bool = True
    max_new_tokens: int = 1_024
    max_seq_len: int | None = None

    def __post_init__(self) -> None:
        _check_temperature(self.temperature)
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p={self.top_p}", "use more than 0, up to 1; 0.8 is usual")
        if not 0 < self.repetition_penalty < 2:
            raise InputError(
                f"repetition_penalty={self.repetition_penalty}",
                "use more than 0 and less than 2; 1 is none, 1.1 is usual",
            )
        if self.chunk_length < 20:
            raise InputError(f"chunk_length={self.chunk_length}", "use 20 or more; 200 is usual")
        if self.max_new_tokens < 1:
            raise InputError(f"max_new_tokens={self.max_new_tokens}", "use 1 or more")
        if self.max_seq_len is not None and self.max_seq_len < _MIN_POSITIONS:
            raise InputError(f"max_seq_len={self.max_seq_len}", f"use {_MIN_POSITIONS} or more")
        if self.reference is not None and not self.reference_text.strip():
            raise InputError(
                "a reference without its words", "say in reference_text what is spoken in it"
            )


class Fish:
    """Fish-Speech in its own environment."""

    def __init__(self, wanted: Wanted) -> None:
        import torch

        from workbench.engines.guests.fish_caches import Caches
        from workbench.engines.guests.fish_codec import RATE_HZ
        from workbench.engines.guests.fish_model import load_fish
        from workbench.engines.guests.fish_tokens import checked
        from workbench.engines.guests.torch_guest import EVERYWHERE, running, weights_bytes

        self._settings = Settings(**wanted.settings)
        self._random = wanted.random
        # Its caches hold one type, and autocast brings keys of another.
        switches = tuple(name for name in EVERYWHERE if name != "autocast")
        self._running = running("fish", wanted, switches)
        loaded = load_fish(wanted, self._settings.max_seq_len)
        self._loaded, self._rate_hz = loaded, RATE_HZ
        device, dtype = self._running.device, self._running.dtype
        self._model = loaded.model.to(device, dtype)
        self._codec = loaded.codec.to(device, torch.float32)
        self._weights_bytes = weights_bytes(self._model, self._codec)  # without the caches
        self._positions = int(self._model.config.max_seq_len)
        with device:
            self._caches = Caches(self._model, self._positions, dtype)
        self._running.compiled([*self._model.layers, *self._model.fast_layers])
        self._codes: dict[bytes, torch.Tensor] = {}
        self._references: tuple[Reference, ...] = ()
        if self._settings.reference is not None:
            audio = Audio.read(self._settings.reference)
            self._references = (checked(Reference(audio, self._settings.reference_text)),)
        if self._running.options.warm_up:
            self.warm_up()

    def about(self) -> About:
        """What was loaded, and with which settings."""
        options = self._running.options
        settings = {**asdict(self._settings), "max_seq_len": self._positions}
        return About(
            weights=self._loaded.weights,
            rate_hz=self._rate_hz,
            voices={0: "the reference, or one drawn with the seed"},
            device=str(self._running.device),
            dtype=options.dtype,
            threads=self._running.threads,
            optimizations=self._running.optimizations,
            left_out={**self._running.left_out, **self._loaded.left_out},
            settings={**settings, "compile": options.compile_mode},
            weights_bytes=self._weights_bytes,
            references="optional",
        )

    def warm_up(self) -> float:
        """Speaks a word once."""
        started = time.perf_counter()
        for _ in self.speak(Request("hello", 0, (), 0, None, 0.4, False)):
            pass
        return time.perf_counter() - started

    def speak(self, request: Request) -> Iterator[np.ndarray | Ending]:
        """A piece for each part of the text; each part is drawn from the seed anew."""
        import torch

        from workbench.engines.guests.fish_codec import FRAME
        from workbench.engines.guests.fish_tokens import Sampling
        from workbench.engines.guests.torch_guest import Stages

        settings = self._settings
        temperature = settings.temperature if request.temperature is None else request.temperature
        _check_temperature(temperature)
        sampling = Sampling(temperature, settings.top_p, settings.repetition_penalty)
        stages = Stages(request.time_stages, self._running.device)
        with stages("reference"):
            heard = self._heard(request.context or self._references)
        room = None if request.max_s is None else round(request.max_s * self._rate_hz)  # samples
        spoken: list[Said] = []
        endings: list[Ended] = []
        for number, part in enumerate(segments(request.text, settings.chunk_length)):
            if room == 0:
                endings.append("cap")
                break
            torch.manual_seed((request.seed + number) % 2**63)
            before = spoken if settings.iterative_prompt else []
            most = None if room is None else -(-room // FRAME)
            sound, said, ended = self._part(part, heard, before, sampling, most, stages)
            if room is not None:
                ended = "cap" if len(sound) > room else ended
                sound = sound[:room]
                room -= len(sound)
            endings.append(ended)
            if len(sound):
                spoken.append(said)
                yield sound
        yield Ending(worst(endings), stages.ms)

    def _part(
        self,
        text: str,
        heard: Sequence[Said],
        spoken: Sequence[Said],
        sampling: Sampling,
        most: int | None,
        stages: Stages,
    ) -> tuple[np.ndarray, Said, Ended]:
        """Sound ``[T]`` of one part, what was said in it in ``most`` frames, and how it ended."""
        from workbench.engines.guests.fish_codec import CODEBOOKS, decoded
        from workbench.engines.guests.fish_tokens import (
            Said,
            fitting,
            frames,
            prompt,
            usual_frames,
        )

        # Random weights find no end by themselves.
        limit = usual_frames(text) if self._random else self._settings.max_new_tokens
        limit = limit if most is None else min(limit, most)
        needed = min(limit, 2 * usual_frames(text))
        with self._running.speaking():
            with stages("tokens"), self._running.networks():
                asked = fitting(
                    lambda before: prompt(self._model.tokenizer, before, text, CODEBOOKS),
                    heard,
                    spoken,
                    needed,
                    self._positions,
                ).to(self._running.device)
                limit = min(limit, self._positions - asked.shape[1])
                codes, ended = frames(self._model, self._caches, asked, limit, sampling)
            if not codes.shape[1]:
                return np.zeros(0, np.float32), Said(text, codes.cpu()), ended
            with stages("codec"):
                sound: np.ndarray = decoded(self._codec, codes).float().cpu().numpy()
        return sound, Said(text, codes.cpu()), ended

    def _heard(self, references: Sequence[Reference]) -> list[Said]:
        """References as their words and codes."""
        from workbench.engines.guests.fish_tokens import Said, checked

        return [Said(one.text, self._encoded(checked(one).audio)) for one in references]

    def _encoded(self, audio: Audio) -> torch.Tensor:
        """A reference's codes ``[10, F]``, once for each: a script speaks on from the same few."""
        import torch

        from workbench.engines.guests.fish_codec import encoded

        key = hashlib.sha256(audio.samples.tobytes() + str(audio.rate_hz).encode()).digest()
        if key not in self._codes:
            while len(self._codes) >= _REFERENCES_KEPT:
                self._codes.pop(next(iter(self._codes)))
            samples = torch.from_numpy(audio.resampled(self._rate_hz).samples)
            with self._running.speaking():
                codes = encoded(self._codec, samples.to(self._running.device))
            self._codes[key] = codes.cpu()
        return self._codes[key]


def _check_temperature(temperature: float) -> None:
    if not 0 <= temperature < 2:
        raise InputError(f"temperature={temperature}", "use 0 to less than 2; 0.8 is usual")
