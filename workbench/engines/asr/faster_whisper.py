"""Whisper on CTranslate2, through faster-whisper: quantized weights, beams, workers, batches.

Sources: faster-whisper (SYSTRAN) and CTranslate2 (Klein et al., 2020); Whisper is Radford et al.,
2022. The trimmed window is what whisper.cpp calls ``audio_ctx``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from workbench.audio import Audio
from workbench.engines.asr.transcript import Segment, Transcript, Window, Word
from workbench.errors import InputError, ModelError
from workbench.models.checkpoint import Checkpoint
from workbench.models.whisper.random import REVISION as RANDOM
from workbench.models.whisper.window import RATE_HZ, WINDOW_S, window_frames, windows

MARGIN_S = 0.5  # of silence after the audio in a trimmed window


class FasterWhisperRecognizer:
    """A Whisper in CTranslate2's layout; see ``workbench.engines.asr.load.load_recognizer``.

    ``window="full"`` is faster-whisper's own ``transcribe``: 30 s whatever the audio's length,
    with its fallback to higher temperatures and timestamps. ``window="trimmed"`` encodes only the
    audio there is and a margin, on the same model, decoded once (no fallback, no timestamps).
    ``batch_size`` splits long recordings by voice activity and decodes the parts together
    (faster-whisper's batched pipeline). ``workers`` copies of the decoder serve as many calls at
    the same time; calls may come from several threads.
    """

    implementation = "faster-whisper"
    gives_word_times = True

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str = "cpu",
        compute_type: str = "default",
        beam_size: int = 5,
        window: Window = "full",
        threads: int | None = None,
        workers: int = 1,
        batch_size: int | None = None,
        vad: bool = False,
        language: str | None = "en",
        max_tokens: int | None = None,
    ) -> None:
        _check_sizes(beam_size, workers, batch_size)
        if window == "trimmed" and (batch_size or vad):
            raise InputError(
                "a trimmed window beside batch_size or vad",
                "use window='full' for the batched pipeline and the voice-activity filter",
            )
        self.name = checkpoint.name
        self.weights = checkpoint.revision
        self.device = device
        self.window = window
        self.beam_size = beam_size
        self.workers = workers
        self.vad = vad
        self.max_tokens = max_tokens
        self.batch_size = batch_size
        assert checkpoint.folder is not None
        self._model = _load(checkpoint.folder, self.name, device, compute_type, threads, workers)
        self.compute_type = str(self._model.model.compute_type)
        self.language = _checked_language(self._model, language)
        self._batched: Any = None
        if batch_size:
            from faster_whisper import BatchedInferencePipeline

            self._batched = BatchedInferencePipeline(self._model)

    @property
    def multilingual(self) -> bool:
        """Whether the model knows more than English."""
        return bool(self._model.model.is_multilingual)

    def transcribe(self, audio: Audio, *, words: bool = False) -> Transcript:
        """The text of ``audio``; ``words`` adds word times (from attention, some more work)."""
        started = time.perf_counter()
        samples = audio.resampled(RATE_HZ).samples
        if not len(samples):
            return self._transcript((), self.language or "en", 0.0, started, 0.0)
        if self.window == "trimmed":
            return self._trimmed(samples, words, started)
        return self._full(samples, words, started)

    def transcribe_batch(self, audios: Sequence[Audio]) -> list[Transcript]:
        """The texts of ``audios``, ``workers`` at a time."""
        if self.workers == 1:
            return [self.transcribe(audio) for audio in audios]
        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(self.transcribe, audios))

    def warm_up(self) -> float:
        """Transcribes a second of faint noise; returns the seconds it took."""
        started = time.perf_counter()
        noise = np.random.default_rng(0).standard_normal(RATE_HZ).astype(np.float32) * 1e-3
        self.transcribe(Audio(noise, RATE_HZ))
        return time.perf_counter() - started

    def _full(self, samples: np.ndarray, words: bool, started: float) -> Transcript:
        settings: dict[str, Any] = {
            "language": self.language,
            "beam_size": self.beam_size,
            "word_timestamps": words,
            "vad_filter": self.vad,
            "condition_on_previous_text": False,  # repeats its own mistakes
            "max_new_tokens": self.max_tokens,
        }
        if self.weights == RANDOM:
            # Noise would be tried again at every temperature, and jump about by its timestamps.
            settings |= {"temperature": 0.0, "without_timestamps": True}
            settings |= {"log_prob_threshold": None, "no_speech_threshold": None}
        if self._batched is not None:
            # Without the filter it refuses recordings of more than one window.
            settings["vad_filter"] = True
            made, info = self._batched.transcribe(samples, batch_size=self.batch_size, **settings)
        else:
            made, info = self._model.transcribe(samples, **settings)
        segments = tuple(
            Segment(
                segment.text.strip(),
                float(segment.start),
                float(segment.end),
                float(segment.avg_logprob),
                float(segment.no_speech_prob),
                tuple(_word(word) for word in segment.words or ()),
            )
            for segment in made
        )
        duration_s = len(samples) / RATE_HZ
        return self._transcript(segments, info.language, duration_s, started, WINDOW_S)

    def _trimmed(self, samples: np.ndarray, words: bool, started: float) -> Transcript:
        stages = {"features": 0.0, "encode": 0.0, "decode": 0.0}
        segments = []
        longest_s = 0.0
        language = self.language
        for start_s, piece in windows(samples, WINDOW_S):
            clock = time.perf_counter()
            frames = window_frames(len(piece), MARGIN_S)
            features = self._features(piece, frames)
            longest_s = max(longest_s, frames / 100)
            encoding = time.perf_counter()
            encoded = self._model.encode(features)
            decoding = time.perf_counter()
            if language is None:
                language = self._language(encoded)
            segments.append(
                self._decode(encoded, language, start_s, len(piece) / RATE_HZ, frames, words)
            )
            stages["features"] += (encoding - clock) * 1000
            stages["encode"] += (decoding - encoding) * 1000
            stages["decode"] += (time.perf_counter() - decoding) * 1000
        duration_s = len(samples) / RATE_HZ
        spoken = tuple(segment for segment in segments if segment.text)
        return self._transcript(spoken, language or "en", duration_s, started, longest_s, stages)

    def _features(self, samples: np.ndarray, frames: int) -> np.ndarray:
        """Log-mel ``[M, frames]``; what is beyond the audio is zero, as faster-whisper has it."""
        found = self._model.feature_extractor(samples)[:, :frames]
        return np.pad(found, ((0, 0), (0, frames - found.shape[1])))

    def _language(self, encoded: Any) -> str:
        if not self.multilingual:
            return "en"
        token, _ = self._model.model.detect_language(encoded)[0][0]
        return token.strip("<|>")

    def _decode(
        self,
        encoded: Any,
        language: str,
        start_s: float,
        length_s: float,
        frames: int,
        words: bool,
    ) -> Segment:
        from faster_whisper.tokenizer import Tokenizer
        from faster_whisper.transcribe import get_suppressed_tokens

        tokenizer = Tokenizer(
            self._model.hf_tokenizer, self.multilingual, task="transcribe", language=language
        )
        prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
        made = self._model.model.generate(
            encoded,
            [prompt],
            beam_size=self.beam_size,
            max_length=self._longest(len(prompt)),
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        tokens = made.sequences_ids[0]
        found: tuple[Word, ...] = ()
        if words and tokens:
            aligned = self._model.find_alignment(tokenizer, [tokens], encoded, frames)[0]
            found = tuple(
                Word(
                    entry["word"].strip(),
                    start_s + min(float(entry["start"]), length_s),
                    start_s + min(float(entry["end"]), length_s),
                    float(entry["probability"]),
                )
                for entry in aligned
                if entry["word"].strip()
            )
        return Segment(
            tokenizer.decode(tokens).strip(),
            start_s,
            start_s + length_s,
            float(made.scores[0]),
            float(made.no_speech_prob),
            found,
        )

    def _longest(self, prompt: int) -> int:
        """Most tokens of a window, prompt included."""
        longest = int(self._model.max_length)
        return min(longest, prompt + self.max_tokens) if self.max_tokens else longest

    def _transcript(
        self,
        segments: tuple[Segment, ...],
        language: str,
        duration_s: float,
        started: float,
        window_s: float,
        stages_ms: dict[str, float] | None = None,
    ) -> Transcript:
        return Transcript(
            text=" ".join(segment.text for segment in segments if segment.text),
            segments=segments,
            language=language,
            duration_s=duration_s,
            latency_ms=(time.perf_counter() - started) * 1000,
            window_s=window_s,
            model=self.name,
            weights=self.weights,
            implementation=self.implementation,
            compute_type=self.compute_type,
            stages_ms=stages_ms or {},
        )


def _word(word: Any) -> Word:
    return Word(word.word.strip(), float(word.start), float(word.end), float(word.probability))


def _check_sizes(beam_size: int, workers: int, batch_size: int | None) -> None:
    for what, value in (("beam_size", beam_size), ("workers", workers), ("batch_size", batch_size)):
        if value is not None and value < 1:
            raise InputError(f"{what}={value}", "use at least 1")


def _load(
    folder: Path, name: str, device: str, compute_type: str, threads: int | None, workers: int
) -> Any:
    import ctranslate2
    from faster_whisper import WhisperModel

    known = ctranslate2.get_supported_compute_types(device)
    if compute_type not in ("default", "auto") and compute_type not in known:
        # CTranslate2 itself would take another type and say so in its log only.
        raise InputError(
            f"compute type {compute_type!r} can't run on {device} here",
            f"use one of {', '.join(sorted(known))}",
        )
    try:
        return WhisperModel(
            str(folder),
            device=device,
            compute_type=compute_type,
            cpu_threads=threads or 0,
            num_workers=workers,
            local_files_only=True,
        )
    except (RuntimeError, ValueError, OSError) as problem:
        raise ModelError(
            f"{name}: {folder} can't be loaded by CTranslate2: {problem}",
            "restore the folder, or convert the model again with ct2-transformers-converter",
        ) from problem


def _checked_language(model: Any, language: str | None) -> str | None:
    if language is not None and language not in model.supported_languages:
        raise InputError(
            f"the model doesn't know the language {language!r}",
            f"use one of {', '.join(model.supported_languages[:12])}…, or None to detect it",
        )
    return language
