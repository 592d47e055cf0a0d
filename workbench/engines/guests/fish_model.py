"""Fish-Speech's two transformers, its tokenizer and codec: found and loaded, or of random weights.

For each frame a slow transformer draws a semantic token, and from its hidden state a fast one the
frame's ten codes, one after another (Liao et al., arXiv 2411.01156).
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from workbench.engines.guests import fish_files
from workbench.engines.guests.fish_codec import (
    CODEBOOKS,
    FULL,
    SEMANTIC_CODES,
    SMALL,
    codec,
    packages,
)
from workbench.engines.guests.hosted import Wanted
from workbench.errors import ModelError

# Of the size of OpenAudio S1 mini, a Qwen3 0.6B with four fast layers. A checkpoint brings its own.
_FULL: dict[str, Any] = {
    "vocab_size": 155_776, "dim": 1_024, "n_layer": 28, "n_head": 16, "n_local_heads": 8,
    "head_dim": 128, "intermediate_size": 3_072, "n_fast_layer": 4, "fast_head_dim": 64,
    "fast_attention_qk_norm": False, "max_seq_len": 8_192,
}  # fmt: skip
_SMALL: dict[str, Any] = {
    "vocab_size": 4_367, "dim": 64, "n_layer": 2, "n_head": 2, "n_local_heads": 1,
    "head_dim": 32, "intermediate_size": 128, "n_fast_layer": 1, "fast_attention_qk_norm": False,
    "max_seq_len": 1_024,
}  # fmt: skip
_COMMON: dict[str, Any] = {
    "codebook_size": SEMANTIC_CODES, "num_codebooks": CODEBOOKS, "rope_base": 1_000_000,
    "norm_eps": 1e-6, "attention_qk_norm": True, "tie_word_embeddings": True,
    "scale_codebook_embeddings": True,
}  # fmt: skip


@dataclass(frozen=True)
class LoadedFish:
    """Transformers with their tokenizer, codec, and what they are called.

    ``left_out`` tells of what the checkpoint's configuration says and the package doesn't know.
    """

    model: Any
    codec: Any
    weights: str
    left_out: Mapping[str, str]


def load_fish(wanted: Wanted, positions: int | None) -> LoadedFish:
    """The networks on the CPU, ready to be moved; caches are to be made.

    ``positions`` bounds text, references and speech together, where it is less than the
    checkpoint's own number.

    Raises InputError for a folder that isn't there, ModelError for files that are missing,
    damaged, or of another architecture.
    """
    small = wanted.size == "small"
    sizes = SMALL if small else FULL  # of the codec: they stand in no checkpoint
    if wanted.random:
        torch.manual_seed(0)
        told = {**_COMMON, **(_SMALL if small else _FULL)}
        special = told["vocab_size"] - SEMANTIC_CODES
        model, _ = _transformers(told, positions, lambda: _made_up_tokenizer(special))
        return LoadedFish(model, codec(sizes), "random", {})
    folder, revision = fish_files.found(wanted)
    told = fish_files.configuration(folder)
    state = fish_files.weights(folder / fish_files.MODEL)  # torn files: before anything is built
    model, unknown = _transformers(told, positions, lambda: _tokenizer(folder))
    fish_files.put(model, state, folder / fish_files.MODEL)
    made = codec(sizes)
    fish_files.put(made, fish_files.weights(folder / fish_files.CODEC), folder / fish_files.CODEC)
    left_out = dict.fromkeys(unknown, "config.json has it, and this fish-speech doesn't know it")
    return LoadedFish(model, made, revision, left_out)


def _transformers(
    told: Mapping[str, Any], positions: int | None, tokenizer: Callable[[], Any]
) -> tuple[Any, list[str]]:
    """The transformers of the configuration ``told``, and what of it the package doesn't know."""
    packages()
    from fish_speech.models.text2semantic.llama import DualARModelArgs, DualARTransformer

    known = {field.name for field in fields(DualARModelArgs)}
    config = DualARModelArgs(**{name: one for name, one in told.items() if name in known})
    # The caches' length is rounded up to eights, the masks' is not.
    most = config.max_seq_len if positions is None else min(positions, config.max_seq_len)
    config.max_seq_len = most // 8 * 8
    words = tokenizer()
    if words.semantic_end_id >= config.vocab_size:
        raise ModelError(
            f"fish: tokens up to {words.semantic_end_id}, and a vocabulary of {config.vocab_size}",
            "the tokenizer's files and config.json must be of the same checkpoint",
        )
    if (config.num_codebooks, config.codebook_size) != (CODEBOOKS, SEMANTIC_CODES):
        raise ModelError(
            f"fish: {config.num_codebooks} codebooks of {config.codebook_size} entries, and the "
            f"codec has {CODEBOOKS} of {SEMANTIC_CODES}",
            "use fishaudio/openaudio-s1-mini, or a model that was trained from it",
        )
    return DualARTransformer(config, words).eval(), sorted(set(told) - known)


def _tokenizer(folder: Path) -> Any:
    from fish_speech.tokenizer import FishTokenizer

    try:
        return FishTokenizer.from_pretrained(str(folder))
    except Exception as problem:  # base64, json and tiktoken each fail in their own way
        raise ModelError(
            f"fish: the tokenizer in {folder} can't be read ({type(problem).__name__}: {problem})",
            "download tokenizer.tiktoken and special_tokens.json again",
        ) from problem


def _made_up_tokenizer(special: int) -> Any:
    """The package's tokenizer with a token for each byte; semantic tokens begin at ``special``.

    They are the vocabulary's last: random weights draw any token, and past them is no code.
    """
    from fish_speech.tokenizer import ALL_SPECIAL_TOKENS, SEMANTIC_TOKEN_TEMPLATE, FishTokenizer

    named = [token for token in ALL_SPECIAL_TOKENS if not token.startswith("<|semantic:")]
    ranks = [bytes([byte]) for byte in range(256)]
    # No text has the byte 255: these only fill the vocabulary up to its size.
    ranks += [b"\xff" + rank.to_bytes(3, "big") for rank in range(256, special - len(named))]
    lines = (f"{base64.b64encode(token).decode()} {rank}" for rank, token in enumerate(ranks))
    semantic = [SEMANTIC_TOKEN_TEMPLATE.format(i=code) for code in range(SEMANTIC_CODES)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bytes.tiktoken"
        path.write_text("\n".join(lines), encoding="utf-8")
        return FishTokenizer(str(path), [*named, *semantic])
