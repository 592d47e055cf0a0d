"""whisper-nano's word error rates on held-out sentences, as users run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from workbench.audio import Audio
from workbench.engines.asr.load import load_recognizer
from workbench.engines.asr.transcript import Recognizer
from workbench.finetune.nano.domain import held_out_sentences
from workbench.finetune.nano.evaluate import (
    assigned_voices,
    codec_round_trip,
    decode_codes,
    generate_codes,
)
from workbench.finetune.nano.speech import RATE_HZ, VOICES, flite
from workbench.finetune.nano.whisper_export import temporary_ct2
from workbench.finetune.nano.whisper_speech import nano_voice
from workbench.models.whisper.find import CTRANSLATE2_FOLDER
from workbench.quality.wer import word_error_rate

NOISE_DB = 15.0  # signal to noise ratio of the noisy condition
# The ways of running it that the card compares: name, implementation, settings. The first hears
# every condition, the others flite alone.
RUNS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("float32", "faster-whisper", {"compute_type": "float32"}),
    ("int8", "faster-whisper", {"compute_type": "int8"}),
    (
        "int8, beam 1, trimmed window",
        "faster-whisper",
        {"compute_type": "int8", "beam_size": 1, "window": "trimmed"},
    ),
    ("float32, trimmed window", "static", {}),
    ("float32", "transformers", {}),
)


@torch.no_grad()
def conditions(sentences: int = 200, seed: int = 7) -> tuple[list[str], dict[str, list[Audio]]]:
    """Held-out sentences and their sound: by flite, with noise, through the codec, by csm-nano."""
    texts = held_out_sentences(sentences, seed)
    speakers = assigned_voices(sentences)
    source = np.random.default_rng(seed)
    spoken = [flite().say(text, who).samples for text, who in zip(texts, speakers, strict=True)]
    model = nano_voice()
    codec, model.codec_model = model.codec_model, torch.nn.Identity()
    coded = [codec_round_trip(codec, samples) for samples in tqdm(spoken, desc="codec")]
    codes = generate_codes(model, texts, speakers)
    made = [decode_codes(codec, frames) for frames, _ in codes]
    sounds = {
        "flite": spoken,
        "noise": [_noisy(samples, source) for samples in spoken],
        "mimi-nano": coded,
        "csm-nano": made,
    }
    return texts, {
        name: [Audio(samples, RATE_HZ) for samples in clips] for name, clips in sounds.items()
    }


def evaluate_whisper(model: Any, tokenizer: Any, sentences: int = 200) -> list[dict[str, Any]]:
    """Word error rates per way of running, condition (of the first way), and flite's voices."""
    texts, sounds = conditions(sentences)
    speakers = assigned_voices(sentences)
    results: list[dict[str, Any]] = []
    with temporary_ct2(model, tokenizer) as folder:
        for number, (name, implementation, settings) in enumerate(RUNS):
            where = Path(folder)
            if implementation == "faster-whisper":
                where = where / CTRANSLATE2_FOLDER
            recognizer = load_recognizer(
                str(where), implementation=implementation, device="cpu", threads=1, **settings
            )
            heard = {
                condition: _heard(recognizer, clips, f"{name}: {condition}")
                for condition, clips in sounds.items()
                if condition == "flite" or number == 0
            }
            rates = {
                condition: asdict(word_error_rate(texts, said)) for condition, said in heard.items()
            }
            for speaker, voice in enumerate(VOICES):
                rows = [row for row, who in enumerate(speakers) if who == speaker]
                rates[voice.name] = asdict(
                    word_error_rate(
                        [texts[row] for row in rows], [heard["flite"][row] for row in rows]
                    )
                )
            results.append({"run": name, "implementation": implementation, "rates": rates})
    return results


def _heard(recognizer: Recognizer, clips: Sequence[Audio], title: str) -> list[str]:
    return [recognizer.transcribe(clip).text for clip in tqdm(clips, desc=title, leave=False)]


def _noisy(samples: np.ndarray, source: np.random.Generator) -> np.ndarray:
    level = float(np.sqrt(np.mean(np.square(samples)))) * 10 ** (-NOISE_DB / 20)
    return (samples + source.standard_normal(len(samples)) * level).astype(np.float32)
