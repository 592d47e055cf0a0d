"""Word error rates of codec and language model on sentences that training never saw."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from workbench.audio import Audio
from workbench.finetune.nano.codec import DEAD_CODE, FRAME_SAMPLES, RATE_HZ
from workbench.finetune.nano.domain import (
    Grammar,
    held_out_sentences,
    open_sentences,
    open_words,
)
from workbench.finetune.nano.recognition import arpa, dictionary
from workbench.finetune.nano.speech import VOICES, flite
from workbench.finetune.nano.tokenizer import build_processor, build_tokenizer
from workbench.quality.recognizer import SphinxRecognizer
from workbench.quality.wer import WordErrorRate, word_error_rate

MAIN_VOICES = ("rms", "awb")
MAX_FRAMES = 110  # 8.8 s; the longest sentence of the domain takes about 7 s
SAMPLING: dict[str, Any] = {
    "do_sample": True,
    "temperature": 0.5,
    "top_k": 30,
    "depth_decoder_do_sample": True,
    "depth_decoder_temperature": 0.5,
    "depth_decoder_top_k": 30,
}


def assigned_voices(count: int, voices: Sequence[str] | None = None) -> list[int]:
    """Speaker ids for ``count`` sentences, taking turns over ``voices`` (default all)."""
    ids = [i for i, voice in enumerate(VOICES) if voices is None or voice.name in voices]
    return [ids[position % len(ids)] for position in range(count)]


@torch.no_grad()
def codec_round_trip(codec: Any, samples: np.ndarray) -> np.ndarray:
    """``samples`` ``[T]`` through encoder, codes and decoder, cut to ``T``."""
    padded = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES))
    codes = codec.encode(torch.from_numpy(padded)[None, None]).audio_codes
    return codec.decode(codes).audio_values[0, 0, : len(samples)].float().numpy()


@torch.no_grad()
def generate_codes(
    model: Any,
    texts: Sequence[str],
    speakers: Sequence[int],
    batch: int = 20,
    max_frames: int = MAX_FRAMES,
    seed: int = 0,
    **sampling: Any,
) -> list[tuple[np.ndarray, bool]]:
    """Codes ``[T, K]`` of each text and whether the model ended it by itself.

    Uses transformers' ``generate``, in batches of texts of similar length.
    """
    torch.manual_seed(seed)
    tokenizer = build_tokenizer()
    order = sorted(range(len(texts)), key=lambda position: len(texts[position]))
    results: list[tuple[np.ndarray, bool]] = [(np.zeros((0, 0)), False)] * len(texts)
    for first in tqdm(range(0, len(order), batch), desc="generate", unit="batch", leave=False):
        rows = order[first : first + batch]
        prompts = [f"[{speakers[row]}]{texts[row]}" for row in rows]
        tokens = tokenizer(prompts, padding=True, padding_side="left", return_tensors="pt")
        made = model.generate(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            max_new_tokens=max_frames,
            **(SAMPLING | sampling),
        )
        for row, codes in zip(rows, made.numpy(), strict=True):
            results[row] = until_end(codes)
    return results


@torch.no_grad()
def decode_codes(codec: Any, codes: np.ndarray) -> np.ndarray:
    """Samples of codes ``[T, K]``; codes outside the codebooks become the nearest inside."""
    if not len(codes):
        return np.zeros(FRAME_SAMPLES, np.float32)
    inside = torch.from_numpy(codes.astype(np.int64)).clamp(1, codec.config.codebook_size - 1)
    return codec.decode(inside.T[None]).audio_values[0, 0].float().numpy()


def evaluate_codec(codec: Any, sentences: int = 200, seed: int = 7) -> dict[str, Any]:
    """Round-trip word error rates: source and codec, for the main voices and for all.

    ``sentences`` are spoken once by the main voices (half each) and once by each other voice's
    share, so that both groups have at least ``sentences`` utterances.
    """
    texts = held_out_sentences(sentences, seed)
    jobs = list(zip(texts, assigned_voices(len(texts), MAIN_VOICES), strict=True))
    others = [voice.name for voice in VOICES if voice.name not in MAIN_VOICES]
    jobs += list(zip(texts, assigned_voices(len(texts), others), strict=True))
    recognizer = SphinxRecognizer()
    heard: list[tuple[int, str, str, str]] = []
    for text, speaker in tqdm(jobs, desc="codec WER", unit="sentence", leave=False):
        samples = flite().say(text, speaker).samples
        made = codec_round_trip(codec, samples)
        source = recognizer.transcribe(Audio(samples, RATE_HZ))
        heard.append((speaker, text, source, recognizer.transcribe(Audio(made, RATE_HZ))))
    main = [entry for entry in heard if VOICES[entry[0]].name in MAIN_VOICES]
    result = {
        "main": _rate(main, 3),
        "all": _rate(heard, 3),
        "source_main": _rate(main, 2),
        "source_all": _rate(heard, 2),
    }
    for number, voice in enumerate(VOICES):
        result[voice.name] = _rate([entry for entry in heard if entry[0] == number], 3)
    return result


@torch.no_grad()
def evaluate_context(
    model: Any, codec: Any, sentences: int = 40, seed: int = 7, **sampling: Any
) -> dict[str, Any]:
    """Word error rate after a spoken context of the same voice, by stock processor and model."""
    torch.manual_seed(seed)
    processor = build_processor()
    texts = held_out_sentences(2 * sentences, seed)
    speakers = assigned_voices(sentences)
    recognizer = SphinxRecognizer()
    bare, model.codec_model = model.codec_model, codec
    heard = []
    for number, speaker in enumerate(tqdm(speakers, desc="context", unit="sentence", leave=False)):
        said = texts[sentences + number]
        sound = {"type": "audio", "path": flite().say(said, speaker).samples}
        turns = [
            {"role": str(speaker), "content": [{"type": "text", "text": said}, sound]},
            {"role": str(speaker), "content": [{"type": "text", "text": texts[number]}]},
        ]
        inputs = processor.apply_chat_template(turns, tokenize=True, return_dict=True)
        codes = model.generate(**inputs, max_new_tokens=MAX_FRAMES, **(SAMPLING | sampling))
        samples = decode_codes(codec, until_end(codes[0].numpy())[0])
        heard.append(recognizer.transcribe(Audio(samples, RATE_HZ)))
    model.codec_model = bare
    return asdict(word_error_rate(texts[:sentences], heard))


def evaluate_open(model: Any, codec: Any, sentences: int = 60, seed: int = 99) -> dict[str, Any]:
    """Word error rates of strings of words outside the grammar, main voices: model and source.

    The recognizer knows the words, but hardly anything of their order.
    """
    words = sorted({*Grammar.load().words, *open_words()})
    with tempfile.TemporaryDirectory() as name:
        files = Path(name) / "open.dict", Path(name) / "open.arpa"
        files[0].write_text(dictionary(words))
        pairs = itertools.islice(open_sentences(seed + 1), 20_000)
        files[1].write_text(arpa([text.split() for text in pairs], words))
        recognizer = SphinxRecognizer(*files)
    texts = list(itertools.islice(open_sentences(seed), sentences))
    speakers = assigned_voices(sentences, MAIN_VOICES)
    made = [decode_codes(codec, codes) for codes, _ in generate_codes(model, texts, speakers)]
    source = [flite().say(text, who).samples for text, who in zip(texts, speakers, strict=True)]
    return {
        kind: asdict(
            word_error_rate(texts, [recognizer.transcribe(Audio(s, RATE_HZ)) for s in sounds])
        )
        for kind, sounds in (("made", made), ("source", source))
    }


def until_end(codes: np.ndarray) -> tuple[np.ndarray, bool]:
    """Generated codes ``[T, K]`` up to the frame of end codes, and whether there was one."""
    ends = np.flatnonzero((codes == DEAD_CODE).all(-1))
    return (codes[: ends[0]], True) if len(ends) else (codes, False)


def _rate(entries: list[tuple[int, str, str, str]], column: int) -> dict[str, Any]:
    return asdict(word_error_rate([e[1] for e in entries], [str(e[column]) for e in entries]))


def evaluate_language(
    model: Any,
    codec: Any,
    sentences: int = 200,
    voices: Sequence[str] | None = None,
    seed: int = 7,
    **sampling: Any,
) -> dict[str, Any]:
    """Word error rate of synthesized held-out sentences, per voice too, and how many ended."""
    texts = held_out_sentences(sentences, seed)
    speakers = assigned_voices(len(texts), voices)
    made = generate_codes(model, texts, speakers, **sampling)
    recognizer = SphinxRecognizer()
    heard = [
        recognizer.transcribe(Audio(decode_codes(codec, codes), RATE_HZ))
        for codes, _ in tqdm(made, desc="recognize", unit="sentence", leave=False)
    ]
    rates: dict[str, WordErrorRate] = {"all": word_error_rate(texts, heard)}
    for number, voice in enumerate(VOICES):
        rows = [row for row, speaker in enumerate(speakers) if speaker == number]
        if rows:
            rates[voice.name] = word_error_rate(
                [texts[row] for row in rows], [heard[row] for row in rows]
            )
    main = [row for row, who in enumerate(speakers) if VOICES[who].name in MAIN_VOICES]
    if main:
        rates["main"] = word_error_rate([texts[r] for r in main], [heard[r] for r in main])
    return {
        **{name: asdict(rate) for name, rate in rates.items()},
        "ended": sum(ended for _, ended in made) / len(made),
        "heard": list(zip(texts, heard, strict=True)),
    }
