"""Chatterbox: text to speech tokens (T3), tokens to sound (S3Gen), in the voice of a prompt.

Resemble AI, MIT licence. T3 is a Llama that samples 25 speech tokens a second under guidance;
S3Gen makes mel spectrograms of them by flow matching, and sound of those. Its sound carries
Resemble's inaudible watermark (Perth), which stays on unless it is turned off.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.audio import Audio
from workbench.engines.guests.hosted import About, Ending, Request, Wanted
from workbench.engines.speech import Ended, worst
from workbench.errors import InputError
from workbench.files import sha256_of
from workbench.text import segments

if TYPE_CHECKING:
    from workbench.engines.guests.torch_guest import Stages

TOKEN_HZ = 25
_MAX_TOKENS = 1_000  # 40 s, as chatterbox itself allows
_RANDOM_CHARS_PER_S = 15  # read speech; random weights find no end by themselves
_MIN_PROMPT_S = 1.0
_PROMPTS_KEPT = 8


@dataclass(frozen=True)
class Settings:
    """Chatterbox's own settings.

    ``audio_prompt`` is a sound file whose voice to speak in (best 6 to 10 s); without one the
    checkpoint's own voice speaks. ``exaggeration`` (0.5 is neutral) is how much emotion, and
    ``cfg`` how closely the text is followed; both as in chatterbox. ``chars_per_part`` is how much
    text is spoken at once, and so how soon the first sound comes.
    """

    audio_prompt: str | None = None
    exaggeration: float = 0.5
    cfg: float = 0.5
    repetition_penalty: float = 1.2
    min_p: float = 0.05
    top_p: float = 1.0
    cfm_steps: int = 10
    chars_per_part: int = 200
    watermark: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.exaggeration <= 2:
            raise InputError(f"exaggeration={self.exaggeration}", "use 0.25 to 2; 0.5 is neutral")
        if not 0 < self.cfg <= 5:
            raise InputError(
                f"cfg={self.cfg}", "use more than 0: chatterbox needs guidance; 0.5 is usual"
            )
        if self.chars_per_part < 20:
            raise InputError(f"chars_per_part={self.chars_per_part}", "use 20 or more")
        if not 1 <= self.cfm_steps <= 100:
            raise InputError(f"cfm_steps={self.cfm_steps}", "use 1 to 100; 10 is usual")


class Chatterbox:
    """Chatterbox in its own environment."""

    def __init__(self, wanted: Wanted) -> None:
        import torch

        from workbench.engines.guests.chatterbox_model import load_chatterbox
        from workbench.engines.guests.torch_guest import running

        self._settings = Settings(**wanted.settings)
        self._running = running("chatterbox", wanted)
        self._random = wanted.random
        self._tts, self._weights = load_chatterbox(wanted, str(self._running.device))
        self._rate_hz = int(self._tts.sr)
        self._prompts: dict[bytes, Any] = {}
        self._t3 = self._tts.t3.to(self._running.dtype)
        self._s3gen = self._tts.s3gen.to(torch.float32)
        self._running.compiled([self._s3gen.flow.decoder.estimator])
        if self._settings.audio_prompt is not None:
            path = Path(self._settings.audio_prompt).expanduser()
            self._voice = self._cloned(Audio.read(path))
            self._voice_name = f"{path.stem} ({sha256_of(path)[:8]})"
        elif wanted.random:
            from workbench.engines.guests.f5_parts import made_up

            self._voice, self._voice_name = self._cloned(made_up(self._rate_hz).audio), "a hum"
        else:
            self._voice, self._voice_name = self._own_voice(), "the checkpoint's voice"
        if self._running.options.warm_up:
            self.warm_up()

    def about(self) -> About:
        """What was loaded, and with which settings."""
        from workbench.engines.guests.torch_guest import weights_bytes

        options = self._running.options
        return About(
            weights=self._weights,
            rate_hz=self._rate_hz,
            voices={0: self._voice_name},
            device=str(self._running.device),
            dtype=options.autocast_dtype or options.dtype,
            threads=self._running.threads,
            optimizations=self._running.optimizations,
            left_out=self._running.left_out,
            settings={**asdict(self._settings), "compile": options.compile_mode},
            weights_bytes=weights_bytes(self._t3, self._s3gen, self._tts.ve),
            references="required" if self._voice is None else "optional",
        )

    def warm_up(self) -> float:
        """Speaks a word once."""
        started = time.perf_counter()
        if self._voice is not None:
            for _ in self.speak(Request("hello", 0, (), 0, None, 0.4, False)):
                pass
        return time.perf_counter() - started

    def speak(self, request: Request) -> Iterator[np.ndarray | Ending]:
        """A piece for each part of the text; each part is drawn from the seed anew."""
        import torch

        from workbench.engines.guests.torch_guest import Stages

        temperature = 0.8 if request.temperature is None else request.temperature
        if temperature < 0:
            raise InputError(f"a temperature of {temperature}", "use 0 or more")
        if len(request.context) > 1:
            raise InputError(
                f"chatterbox with {len(request.context)} references", "pass a single one"
            )
        stages = Stages(request.time_stages, self._running.device)
        voice = self._voice
        if request.context:
            with stages("reference"):
                voice = self._remembered(request.context[0].audio)
        room = None if request.max_s is None else max(1, round(request.max_s * TOKEN_HZ))
        endings: list[Ended] = []
        for number, part in enumerate(segments(request.text, self._settings.chars_per_part)):
            if room == 0:
                endings.append("cap")
                break
            torch.manual_seed((request.seed + number) % 2**63)
            limit = self._limit(part) if room is None else min(room, self._limit(part))
            sound, count, ended = self._part(part, voice, temperature, limit, stages)
            room = None if room is None else room - count
            endings.append(ended)
            yield sound
        yield Ending(worst(endings), stages.ms)

    def _limit(self, part: str) -> int:
        """Tokens that ``part`` may take."""
        if not self._random:
            return _MAX_TOKENS
        return max(TOKEN_HZ // 2, len(part) * TOKEN_HZ // _RANDOM_CHARS_PER_S)

    def _part(
        self, text: str, voice: Any, temperature: float, limit: int, stages: Stages
    ) -> tuple[np.ndarray, int, Ended]:
        """Sound ``[T]``, its tokens' number, and how it ended."""
        import torch
        from chatterbox.tts import punc_norm

        hp, settings = self._t3.hp, self._settings
        with self._running.speaking():
            with stages("text"):
                ids = self._tts.tokenizer.text_to_tokens(punc_norm(text))
                ids = ids.to(self._running.device).long()
                ids = torch.nn.functional.pad(ids, (1, 0), value=hp.start_text_token)
                ids = torch.nn.functional.pad(ids, (0, 1), value=hp.stop_text_token)
            with stages("t3"), self._running.networks():
                tokens = self._t3.inference(
                    t3_cond=voice.t3,
                    text_tokens=ids.repeat(2, 1),  # with and without the text, for guidance
                    max_new_tokens=limit,
                    temperature=max(temperature, 1e-4),
                    cfg_weight=settings.cfg,
                    repetition_penalty=settings.repetition_penalty,
                    min_p=settings.min_p,
                    top_p=settings.top_p,
                )[0]
            ended: Ended = "eos" if int(tokens[-1]) == hp.stop_speech_token else "cap"
            spoken = tokens[tokens < hp.start_speech_token]  # special tokens have no sound
            if not len(spoken):
                return np.zeros(0, np.float32), len(tokens), ended
            with stages("s3gen"):
                wave, _ = self._s3gen.inference(
                    speech_tokens=spoken, ref_dict=voice.gen, n_cfm_timesteps=settings.cfm_steps
                )
                sound = wave[0].float().cpu().numpy()
        if settings.watermark:
            with stages("watermark"):
                sound = self._tts.watermarker.apply_watermark(sound, sample_rate=self._rate_hz)
        return np.asarray(sound, np.float32), len(tokens), ended

    def _own_voice(self) -> Any:
        """The checkpoint's voice with the emotion that was set; None where it has no voice."""
        import torch

        voice = self._tts.conds
        if voice is not None:
            voice.t3.emotion_adv = self._settings.exaggeration * torch.ones(1, 1, 1)
            voice.t3 = voice.t3.to(device=self._running.device, dtype=self._running.dtype)
        return voice

    def _remembered(self, audio: Audio) -> Any:
        """``_cloned``, once for each prompt: a script speaks on from the same few."""
        key = hashlib.sha256(audio.samples.tobytes() + str(audio.rate_hz).encode()).digest()
        if key not in self._prompts:
            while len(self._prompts) >= _PROMPTS_KEPT:
                self._prompts.pop(next(iter(self._prompts)))
            self._prompts[key] = self._cloned(audio)
        return self._prompts[key]

    def _cloned(self, audio: Audio) -> Any:
        """The conditions of T3 and S3Gen that a prompt's sound gives."""
        import torch
        from chatterbox.models.t3.modules.cond_enc import T3Cond
        from chatterbox.tts import Conditionals

        if audio.duration_s < _MIN_PROMPT_S:
            raise InputError(
                f"chatterbox: a prompt of {audio.duration_s:.1f} s",
                f"use at least {_MIN_PROMPT_S:.0f} s, best 6 to 10 s of one voice",
            )
        tts, device = self._tts, self._running.device
        at_24k = audio.resampled(self._rate_hz).samples[: tts.DEC_COND_LEN]
        at_16k = audio.resampled(16_000).samples
        with self._running.speaking():
            gen = self._s3gen.embed_ref(at_24k, self._rate_hz, device=device)
            tokens, _ = self._s3gen.tokenizer.forward(
                [at_16k[: tts.ENC_COND_LEN]], max_len=self._t3.hp.speech_cond_prompt_len
            )
            speaker = torch.from_numpy(tts.ve.embeds_from_wavs([at_16k], sample_rate=16_000))
            cond = T3Cond(
                speaker_emb=speaker.mean(dim=0, keepdim=True),
                cond_prompt_speech_tokens=torch.atleast_2d(tokens),
                emotion_adv=self._settings.exaggeration * torch.ones(1, 1, 1),
            )
            cond = cond.to(device=device, dtype=self._running.dtype)
        return Conditionals(cond, gen)
