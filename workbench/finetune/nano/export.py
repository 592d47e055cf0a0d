"""The trained models as files: bf16 safetensors, configurations, checksums, model cards."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workbench.files import sha256_of, write_json, write_text
from workbench.finetune.nano.codec import FRAME_SAMPLES
from workbench.finetune.nano.evaluate import SAMPLING
from workbench.finetune.nano.speech import VOICES
from workbench.finetune.nano.tokenizer import build_processor

CODEC_NAME, LANGUAGE_NAME = "mimi-nano", "csm-nano"
LICENSE = "Apache-2.0"
MAX_NEW_TOKENS = 250  # 20 s; the model is trained on sentences of up to about 8 s


def export_codec(model: Any, folder: Path, card: str) -> Path:
    """Writes mimi-nano below ``folder``; returns its own folder."""
    target = folder / CODEC_NAME
    target.mkdir(parents=True, exist_ok=True)
    small = copy.deepcopy(model).to(torch.bfloat16)
    for module in small.modules():
        if hasattr(module, "embed_sum"):
            _fold_usage(module)
    small.save_pretrained(target)
    return finish(target, card)


def _fold_usage(codebook: Any) -> None:
    """Stores a codebook's entries themselves: their quotient would suffer twice from bf16."""
    entries = codebook.embed_sum.float() / codebook.cluster_usage.float()[:, None]
    codebook.embed_sum.copy_(entries.to(codebook.embed_sum.dtype))
    codebook.cluster_usage.fill_(1.0)
    codebook._embed = None


def export_language(
    model: Any,
    folder: Path,
    card: str,
    sampling: Mapping[str, Any] = SAMPLING,
) -> Path:
    """Writes csm-nano below ``folder``, without the codec, which lies beside it."""
    target = folder / LANGUAGE_NAME
    target.mkdir(parents=True, exist_ok=True)
    small = copy.deepcopy(model).to(torch.bfloat16)
    small.codec_model = nn.Identity()
    small.config.architectures = ["CsmForConditionalGeneration"]
    settings = small.generation_config
    settings.update(
        max_new_tokens=MAX_NEW_TOKENS,
        pad_token_id=small.config.pad_token_id,
        bos_token_id=small.config.bos_token_id,
        **{key: value for key, value in sampling.items() if not key.startswith("depth_decoder_")},
    )
    depth = {
        key.removeprefix("depth_decoder_"): value
        for key, value in sampling.items()
        if key.startswith("depth_decoder_")
    }
    small.depth_decoder.generation_config.update(**depth)
    for config in (settings, small.depth_decoder.generation_config):
        config._from_model_config = False  # the settings are ours, not defaults
    small.save_pretrained(target)
    _drop_derived(target / "config.json")
    build_processor().save_pretrained(target)
    voices = {
        str(speaker): {"name": voice.name, "description": voice.description}
        for speaker, voice in enumerate(VOICES)
    }
    write_json(
        target / "workbench.json",
        {
            "codec": CODEC_NAME,
            "voices": voices,
            "frame_samples": FRAME_SAMPLES,
            "license": LICENSE,
        },
    )
    return finish(target, card)


def _drop_derived(path: Path) -> None:
    """CSM derives this one from ``tie_codebooks_embeddings``; transformers 5.17 refuses it."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("tie_word_embeddings", None)
    write_json(path, config)


def finish(target: Path, card: str | None = None) -> Path:
    """Writes the model card and the checksums of what lies in ``target``; returns it."""
    if card is not None:
        write_text(target / "README.md", card)
    names = sorted(
        path.name
        for path in target.iterdir()
        if path.is_file() and path.suffix in (".safetensors", ".bin", ".json", ".jinja")
    )
    for name in names:
        (target / name).chmod(0o644)  # safetensors writes private files
    lines = [f"{sha256_of(target / name)}  {name}\n" for name in names]
    write_text(target / "SHA256SUMS", "".join(lines))
    return target
