"""chat-nano as files, in transformers' layout."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch

from workbench.finetune.nano.chat import NAME
from workbench.finetune.nano.export import finish


def export_chat(model: Any, tokenizer: Any, folder: Path, card: str) -> Path:
    """Writes chat-nano below ``folder`` in float16; returns its own folder."""
    target = folder / NAME
    save(model, tokenizer, target)
    return finish(target, card)


def save(model: Any, tokenizer: Any, target: Path) -> None:
    """Writes ``model`` in float16 in transformers' layout."""
    target.mkdir(parents=True, exist_ok=True)
    small = copy.deepcopy(model).to(torch.float16)
    small.save_pretrained(target)
    tokenizer.save_pretrained(target)
