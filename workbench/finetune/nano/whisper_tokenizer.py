"""whisper-nano's text: a byte-level BPE of the domain, with Whisper's special tokens after it."""

from __future__ import annotations

import json
import string
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from workbench.finetune.nano.domain import open_sentences, training_sentences
from workbench.finetune.nano.whisper import MEL_BINS

VOCABULARY = 700  # 256 bytes, then letters and pieces of words, up to whole frequent words
SENTENCES = 8000
END = "<|endoftext|>"
# In the order of OpenAI's English-only vocabulary, without its languages; text tokens come before
# END, timestamps after the last.
SPECIALS = (
    "<|startoftranscript|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nocaptions|>",
    "<|notimestamps|>",
)


def build_tokenizer(vocabulary: int = VOCABULARY, sentences: int = SENTENCES) -> Any:
    """A ``WhisperTokenizer`` of ``vocabulary`` text tokens, trained on so many ``sentences``."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import WhisperTokenizer

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(_sentences(sentences), trainer)
    learned = json.loads(raw.to_str())["model"]
    return WhisperTokenizer(
        vocab=learned["vocab"] | {END: len(learned["vocab"])},
        merges=[tuple(pair) for pair in learned["merges"]],
        extra_special_tokens=list(SPECIALS),
    )


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer saved in ``folder``, trained and saved there first if need be."""
    from transformers import WhisperTokenizer

    if not (folder / "tokenizer.json").is_file():
        build_tokenizer().save_pretrained(folder)
    return WhisperTokenizer.from_pretrained(folder)


def feature_extractor() -> Any:
    """Whisper's log-mel features: 80 bins, 10 ms, windows of 30 s."""
    from transformers import WhisperFeatureExtractor

    return WhisperFeatureExtractor(feature_size=MEL_BINS)


def _sentences(count: int) -> Iterator[str]:
    """Sentences with the leading space that Whisper's transcripts have."""
    for text in islice(training_sentences(seed=11), count):
        yield f" {text}"
    for text in islice(open_sentences(seed=11), count // 4):
        yield f" {text}"
    # faster-whisper suppresses the first token of " -" and of " '", which must not be the space
    # that rare words begin with: so every letter and these signs are one token with their space.
    for sign in string.ascii_lowercase + "-'":
        yield from [f" {sign}"] * count
