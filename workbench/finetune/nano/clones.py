"""Clones of voices that training never heard: how alike they are, and how well understood."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.finetune.nano.codec import RATE_HZ
from workbench.finetune.nano.domain import held_out_sentences
from workbench.finetune.nano.evaluate import (
    MAX_FRAMES,
    SAMPLING,
    codec_round_trip,
    decode_codes,
    until_end,
)
from workbench.finetune.nano.speech import HELD_OUT_SPEEDS, VOICES, Utterance, at_speed, flite
from workbench.finetune.nano.tokenizer import build_processor
from workbench.measure.statistics import share_of
from workbench.quality.recognizer import SphinxRecognizer
from workbench.quality.speaker import SpeakerEncoder, load_speaker_encoder
from workbench.quality.wer import word_error_rate

PROMPTS, CLIPS = 2, 4  # what the model hears of a voice; what a clone is held to
Voice = tuple[int, float]  # position in VOICES, speed


@torch.no_grad()
def evaluate_clones(model: Any, codec: Any, clones: int = 4, seed: int = 17) -> dict[str, Any]:
    """``clones`` of each voice of ``VOICES`` at ``HELD_OUT_SPEEDS``, under their ids in turn.

    A clone is compared with four other clips of each of these voices and of ``VOICES`` themselves.
    ``nearest`` is how many were most alike to their own voice, ``codec_nearest`` the same for
    clips that only went through the codec.
    """
    torch.manual_seed(seed)
    targets = [(number, speed) for number in range(len(VOICES)) for speed in HELD_OUT_SPEEDS]
    voices = [*targets, *((number, 1.0) for number in range(len(VOICES)))]
    each = PROMPTS + CLIPS + clones
    texts = held_out_sentences(each * len(voices), seed)
    encoder, recognizer, processor = load_speaker_encoder(), SphinxRecognizer(), build_processor()
    said = {
        voice: [_say(text, voice) for text in texts[place * each : (place + 1) * each]]
        for place, voice in enumerate(voices)
    }
    centres = {
        voice: np.mean([_embedded(encoder, one.samples) for one in clips[PROMPTS:][:CLIPS]], axis=0)
        for voice, clips in said.items()
    }
    bare, model.codec_model = model.codec_model, codec
    rows, ended = [], 0
    for voice in tqdm(targets, desc="clones", unit="voice", leave=False):
        prompts, wanted = said[voice][:PROMPTS], said[voice][PROMPTS + CLIPS :]
        for speaker, one in enumerate(wanted):
            speaker %= len(VOICES)
            heard = [_turn(speaker, prompt.text, prompt.samples) for prompt in prompts]
            turns = [*heard, _turn(speaker, one.text)]
            inputs = processor.apply_chat_template(turns, tokenize=True, return_dict=True)
            made = model.generate(**inputs, max_new_tokens=MAX_FRAMES, **SAMPLING)[0].numpy()
            codes, by_itself = until_end(made)
            ended += by_itself
            sounds = decode_codes(codec, codes), codec_round_trip(codec, one.samples), one.samples
            rows.append(
                {
                    "voice": _name(voice),
                    "speaker": speaker,
                    "text": one.text,
                    "heard": [recognizer.transcribe(Audio(sound, RATE_HZ)) for sound in sounds],
                    "alike": [_likeness(encoder, sound, centres) for sound in sounds],
                }
            )
    model.codec_model = bare
    return _summed(rows) | {"ended": ended / len(rows), "trials": rows}


def _say(text: str, voice: Voice) -> Utterance:
    spoken = flite().say(text, voice[0])
    return spoken if voice[1] == 1 else at_speed(spoken, voice[1])


def _turn(speaker: int, text: str, samples: np.ndarray | None = None) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": text}]
    if samples is not None:
        content.append({"type": "audio", "path": samples})
    return {"role": str(speaker), "content": content}


def _name(voice: Voice) -> str:
    return f"{VOICES[voice[0]].name} {voice[1]:.2f}"


def _embedded(encoder: SpeakerEncoder, samples: np.ndarray) -> np.ndarray:
    return encoder.embed(Audio(samples, RATE_HZ))


def _likeness(
    encoder: SpeakerEncoder, samples: np.ndarray, centres: dict[Voice, np.ndarray]
) -> dict[str, float]:
    """Mean similarity to each voice's clips; none where there is hardly a sound."""
    try:
        mine = _embedded(encoder, samples)
    except InputError:
        return {}
    return {_name(voice): round(float(mine @ centre), 4) for voice, centre in centres.items()}


def _summed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Shares with Wilson's interval and word error rates: of clones, of codec and source."""
    result: dict[str, Any] = {}
    texts = [row["text"] for row in rows]
    for column, kind in enumerate(("", "codec_", "source_")):
        alike = [(row["voice"], row["alike"][column]) for row in rows]
        won = sum(max(near, key=near.__getitem__, default=None) == own for own, near in alike)
        own = [near.get(voice, 0.0) for voice, near in alike]
        result[f"{kind}nearest"] = asdict(share_of(won, len(rows)))
        result[f"{kind}similarity"] = float(np.mean(own))
        result[f"{kind}wer"] = asdict(word_error_rate(texts, [r["heard"][column] for r in rows]))
    return result
