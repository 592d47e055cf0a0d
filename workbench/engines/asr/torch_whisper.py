"""Whisper in PyTorch: transformers' own ``generate``, or our static cache and trimmed window.

``implementation="transformers"`` is the reference: 30 s of padding and ``generate``. ``static``
encodes a window of the audio's length (``window="trimmed"``) or 30 s and decodes greedily with a
cache that stays where it is, which ``compile_mode`` can compile.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from workbench.audio import Audio
from workbench.engines.asr.transcript import Segment, Transcript, Window
from workbench.errors import InputError, ModelError
from workbench.hardware.work import threads as cpu_threads
from workbench.models.checkpoint import Checkpoint
from workbench.models.quiet import quiet
from workbench.models.whisper.decoder import StaticDecoder
from workbench.models.whisper.window import RATE_HZ, WINDOW_S, encode, window_frames, windows

MARGIN_S = 0.5  # of silence after the audio in a trimmed window


class TorchWhisperRecognizer:
    """A Whisper in transformers' layout; see ``workbench.engines.asr.load.load_recognizer``.

    Greedy, without timestamps: a segment is a window. One request at a time.
    """

    gives_word_times = False

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        implementation: str = "static",
        window: Window = "trimmed",
        compile_mode: str | None = None,
        threads: int | None = None,
        language: str | None = "en",
        max_tokens: int | None = None,
    ) -> None:
        if implementation == "transformers" and (window == "trimmed" or compile_mode):
            raise InputError(
                "transformers' generate takes neither a trimmed window nor compile_mode",
                "use implementation='static', or window='full' and no compile_mode",
            )
        if implementation == "transformers" and language is None:
            raise InputError(
                "transformers' generate doesn't say which language it heard",
                "name the language, or use implementation='static'",
            )
        self.name = checkpoint.name
        self.weights = checkpoint.revision
        self.implementation = implementation
        self.window = window
        self.device = device
        self.threads = threads
        self.max_tokens = max_tokens
        self.compute_type = str(dtype).removeprefix("torch.")
        self.model, self._tokenizer, self._extractor = _load(checkpoint, dtype, device)
        settings = self.model.generation_config
        self.multilingual = bool(getattr(settings, "is_multilingual", False))
        self.language = self._checked(language)
        self._decoder = StaticDecoder(
            self.model,
            end_id=self._tokenizer.eos_token_id,
            no_speech_id=self._id("<|nocaptions|>", "<|nospeech|>"),
            suppressed=settings.suppress_tokens or (),
            suppressed_first=settings.begin_suppress_tokens or (),
            compile_mode=compile_mode,
        )
        self._busy = threading.Lock()

    @torch.inference_mode()
    def transcribe(self, audio: Audio, *, words: bool = False) -> Transcript:
        """The text of ``audio``.

        Raises InputError for ``words``: there are no word times here.
        """
        if words:
            raise InputError(
                f"the implementation {self.implementation} gives no word times",
                "use implementation='faster-whisper'",
            )
        started = time.perf_counter()
        with self._busy, cpu_threads(self.threads or None):
            return self._transcribe(audio.resampled(RATE_HZ).samples, started)

    def transcribe_batch(self, audios: Sequence[Audio]) -> list[Transcript]:
        """The texts of ``audios``, one after another."""
        return [self.transcribe(audio) for audio in audios]

    def warm_up(self) -> float:
        """Transcribes a second of faint noise; returns the seconds it took."""
        started = time.perf_counter()
        noise = np.random.default_rng(0).standard_normal(RATE_HZ).astype(np.float32) * 1e-3
        self.transcribe(Audio(noise, RATE_HZ))
        return time.perf_counter() - started

    def _transcribe(self, samples: np.ndarray, started: float) -> Transcript:
        stages = {"features": 0.0, "encode": 0.0, "decode": 0.0}
        language = self.language
        segments = []
        longest_s = 0.0
        for start_s, piece in windows(samples, WINDOW_S) if len(samples) else ():
            clock = time.perf_counter()
            full = self.window == "full"
            frames = round(WINDOW_S * 100) if full else window_frames(len(piece), MARGIN_S)
            longest_s = max(longest_s, frames / 100)
            features = self._features(piece, frames)
            encoding = self._now()
            stages["features"] += (encoding - clock) * 1000
            if self.implementation == "transformers":
                text, logprob, silence = self._generated(features), math.nan, math.nan
                stages["decode"] += (self._now() - encoding) * 1000  # encodes, too
            else:
                states = encode(self.model, features)
                decoding = self._now()
                language = language or self._heard_language(states)
                text, logprob, silence = self._decoded(states, language)
                stages["encode"] += (decoding - encoding) * 1000
                stages["decode"] += (self._now() - decoding) * 1000
            length_s = len(piece) / RATE_HZ
            if text:
                segments.append(Segment(text, start_s, start_s + length_s, logprob, silence))
        return Transcript(
            text=" ".join(segment.text for segment in segments),
            segments=tuple(segments),
            language=language or "en",
            duration_s=len(samples) / RATE_HZ,
            latency_ms=(time.perf_counter() - started) * 1000,
            window_s=longest_s,
            model=self.name,
            weights=self.weights,
            implementation=self.implementation,
            compute_type=self.compute_type,
            stages_ms=stages,
        )

    def _features(self, samples: np.ndarray, frames: int) -> torch.Tensor:
        """Log-mel ``[1, M, frames]`` of ``samples`` and silence up to the window's end."""
        hop = self._extractor.hop_length
        padded = np.pad(samples[: frames * hop], (0, max(0, frames * hop - len(samples))))
        found = self._extractor(
            padded, sampling_rate=RATE_HZ, padding="do_not_pad", return_tensors="pt"
        )["input_features"]
        return found.to(self.device, self.model.dtype)

    def _decoded(self, states: torch.Tensor, language: str) -> tuple[str, float, float]:
        made = self._decoder.decode(states, self._prompt(language), self.max_tokens)
        text = self._tokenizer.decode(list(made.tokens), skip_special_tokens=True).strip()
        return text, made.average_logprob, made.no_speech_probability

    def _generated(self, features: torch.Tensor) -> str:
        settings: dict[str, Any] = {}
        if self.multilingual:
            settings |= {"language": self.language, "task": "transcribe"}
        if self.max_tokens:
            settings["max_new_tokens"] = self.max_tokens
        with quiet():  # it warns of its own settings
            made = self.model.generate(
                input_features=features,
                num_beams=1,
                do_sample=False,
                return_timestamps=False,
                **settings,
            )
        return str(self._tokenizer.batch_decode(made, skip_special_tokens=True)[0]).strip()

    def _prompt(self, language: str) -> list[int]:
        wanted = ["<|startoftranscript|>"]
        if self.multilingual:
            wanted += [f"<|{language}|>", "<|transcribe|>"]
        return [self._tokenizer.convert_tokens_to_ids(t) for t in (*wanted, "<|notimestamps|>")]

    def _heard_language(self, states: torch.Tensor) -> str:
        if not self.multilingual:
            return "en"
        ids: dict[str, int] = self.model.generation_config.lang_to_id
        start = self._tokenizer.convert_tokens_to_ids("<|startoftranscript|>")
        found = self._decoder.likeliest(states, start, list(ids.values()))
        return next(token for token, number in ids.items() if number == found).strip("<|>")

    def _checked(self, language: str | None) -> str | None:
        known = ["en"]
        if self.multilingual:
            known = [token.strip("<|>") for token in self.model.generation_config.lang_to_id]
        if language is not None and language not in known:
            raise InputError(
                f"the model doesn't know the language {language!r}",
                f"use one of {', '.join(known[:12])}…, or None to detect it",
            )
        return language

    def _id(self, *names: str) -> int | None:
        vocabulary = self._tokenizer.get_vocab()
        return next((vocabulary[name] for name in names if name in vocabulary), None)

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def _load(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> Any:
    from safetensors import SafetensorError
    from transformers import (
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizer,
    )

    folder = checkpoint.folder
    checkpoint.read_json("config.json")  # a clear error where it is missing or broken
    try:
        with quiet():
            model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=dtype)
            tokenizer = WhisperTokenizer.from_pretrained(folder)
            extractor = WhisperFeatureExtractor.from_pretrained(folder)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as problem:
        raise ModelError(
            f"{checkpoint.name}: {folder} can't be loaded as a Whisper: {problem}",
            "restore the folder, or download the model again",
        ) from problem
    return model.to(device).eval(), tokenizer, extractor
