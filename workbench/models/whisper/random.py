"""Whispers of the real sizes with random weights: for timing where no hub can be reached.

They write noise, and every result says so. Their vocabulary has Whisper's size and special
tokens, in its order, but made-up words.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from workbench.models.checkpoint import Checkpoint
from workbench.models.hub import cache_dir
from workbench.models.whisper.convert import to_ctranslate2

# Width, encoder layers, decoder layers, heads, mel bins (Radford et al., 2022, table 1).
_SHAPES = {
    "tiny": (384, 4, 4, 6, 80),
    "base": (512, 6, 6, 8, 80),
    "small": (768, 12, 12, 12, 80),
    "medium": (1024, 24, 24, 16, 80),
    "large-v1": (1280, 32, 32, 20, 80),
    "large-v2": (1280, 32, 32, 20, 80),
    "large-v3": (1280, 32, 32, 20, 128),
    "large-v3-turbo": (1280, 32, 4, 20, 128),
}
_TEXT_TOKENS = 50_257  # one less in the English-only models
_TIMESTAMPS = 1501
REVISION = "random"


def random_whisper(size: str, layout: str) -> Checkpoint:
    """The checkpoint of ``size`` with random float16 weights, written to the cache once."""
    target = cache_dir() / "random" / f"whisper-{size}"
    folder = target if layout == "transformers" else target / "ct2"
    if not folder.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        made = target.with_name(f"{target.name}.{os.getpid()}")
        try:
            if not target.is_dir():
                _write(size, made)
                made.rename(target)
            if layout != "transformers":
                to_ctranslate2(target, made)
                made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return Checkpoint(size, folder, REVISION)


def _write(size: str, folder: Path) -> None:
    import torch
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
    )

    width, encoder_layers, decoder_layers, heads, mel_bins = _SHAPES[size.removesuffix(".en")]
    tokenizer, languages = _tokenizer(size)
    end = tokenizer.eos_token_id
    find = tokenizer.convert_tokens_to_ids
    config = WhisperConfig(
        vocab_size=len(tokenizer) + _TIMESTAMPS,
        num_mel_bins=mel_bins,
        d_model=width,
        encoder_layers=encoder_layers,
        decoder_layers=decoder_layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=find("<|startoftranscript|>"),
    )
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration._from_config(config, dtype=torch.float16)
    multilingual: dict[str, Any] = {"is_multilingual": bool(languages)}
    if languages:
        multilingual["lang_to_id"] = {language: find(language) for language in languages}
        multilingual["task_to_id"] = {
            task: find(f"<|{task}|>") for task in ("transcribe", "translate")
        }
    model.generation_config = GenerationConfig(
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=config.decoder_start_token_id,
        no_timestamps_token_id=find("<|notimestamps|>"),
        prev_sot_token_id=find("<|startofprev|>"),
        suppress_tokens=[],
        begin_suppress_tokens=[],
        max_length=448,
        **multilingual,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=mel_bins).save_pretrained(folder)


def _tokenizer(size: str) -> tuple[Any, list[str]]:
    """Whisper's bytes and special tokens with made-up words between; the languages' tokens."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import WhisperTokenizer
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    english = size.endswith(".en")
    known = [] if english else [f"<|{code}|>" for code in LANGUAGES]
    if not size.startswith("large-v3"):
        known = known[:99]  # Cantonese came with large-v3
    letters = sorted(ByteLevel.alphabet())
    words = [f"Ġw{number}" for number in range(_TEXT_TOKENS - int(english) - len(letters))]
    texts = [*letters, *words, "<|endoftext|>"]
    tokenizer = WhisperTokenizer(
        vocab={text: number for number, text in enumerate(texts)},
        merges=[],
        extra_special_tokens=[
            "<|startoftranscript|>",
            *known,
            "<|translate|>",
            "<|transcribe|>",
            "<|startoflm|>",
            "<|startofprev|>",
            "<|nocaptions|>",
            "<|notimestamps|>",
        ],
    )
    return tokenizer, known
