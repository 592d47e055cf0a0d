"""whisper-nano as files: transformers' layout, and beside it CTranslate2's for faster-whisper."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import torch

from workbench.finetune.nano.export import finish
from workbench.finetune.nano.whisper_tokenizer import feature_extractor
from workbench.models.whisper.convert import to_ctranslate2
from workbench.models.whisper.find import CTRANSLATE2_FOLDER, NANO


def export_whisper(model: Any, tokenizer: Any, folder: Path, card: str) -> Path:
    """Writes whisper-nano below ``folder`` in float16; returns its own folder."""
    target = folder / NANO
    target.mkdir(parents=True, exist_ok=True)
    save(model, tokenizer, target)
    to_ctranslate2(target, target / CTRANSLATE2_FOLDER)
    finish(target / CTRANSLATE2_FOLDER)
    return finish(target, card)


def save(model: Any, tokenizer: Any, target: Path) -> None:
    """Writes ``model`` in float16 in transformers' layout."""
    small = copy.deepcopy(model).to(torch.float16)
    small.config._attn_implementation = None  # whoever loads it chooses
    small.save_pretrained(target)
    tokenizer.save_pretrained(target)
    feature_extractor().save_pretrained(target)


def temporary_ct2(model: Any, tokenizer: Any) -> tempfile.TemporaryDirectory[str]:
    """``model`` in CTranslate2's layout in a folder ``ct2`` that goes away when it is cleaned."""
    folder = tempfile.TemporaryDirectory()
    save(model, tokenizer, Path(folder.name))
    to_ctranslate2(Path(folder.name), Path(folder.name) / CTRANSLATE2_FOLDER)
    return folder
