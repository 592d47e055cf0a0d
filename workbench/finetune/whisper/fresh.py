"""whisper-nano's architecture with fresh weights: to try the code without any checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from workbench.errors import InputError
from workbench.finetune.nano.whisper import build_whisper, whisper_config
from workbench.finetune.nano.whisper_export import save
from workbench.finetune.nano.whisper_tokenizer import build_tokenizer
from workbench.models.whisper.convert import to_ctranslate2
from workbench.models.whisper.find import CTRANSLATE2_FOLDER

_VOCABULARY, _SENTENCES = 330, 200


def given_or_fresh(name: str, weights: str, folder: Path | str) -> str:
    """``name``, or with the weights ``random`` a fresh model's folder, made in ``folder``."""
    if weights not in ("auto", "random"):
        raise InputError(f"weights={weights!r}", "use 'auto' or 'random'")
    return name if weights == "auto" else str(fresh_whisper(folder))


def fresh_whisper(folder: Path | str, seed: int = 0, **changes: Any) -> Path:
    """Writes both layouts into ``folder``; ``changes`` are settings of the architecture.

    It understands nothing before it is trained.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer(_VOCABULARY, sentences=_SENTENCES)
    torch.manual_seed(seed)
    save(build_whisper(whisper_config(tokenizer, **changes), tokenizer), tokenizer, folder)
    to_ctranslate2(folder, folder / CTRANSLATE2_FOLDER)
    return folder
