"""Training that goes on from finished models: their weights where the stages look for a start.

The codebooks move on from where they are, so that their codes mostly keep their meaning, and the
language model needn't learn to read and to speak again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from workbench.errors import ModelError
from workbench.finetune.nano import checkpoints
from workbench.finetune.nano.export import CODEC_NAME, LANGUAGE_NAME
from workbench.finetune.nano.language import PhoneScaffold
from workbench.models.quiet import quiet


def adopt(models: Path, out: Path, codec: nn.Module, language: nn.Module) -> None:
    """Puts the weights of the models in ``models`` where the stages of ``out`` begin.

    ``codec`` and ``language`` are networks of the recipe's sizes. ``codes.pt`` gets the whole
    codec, ``alignment.pt`` the language model with a fresh scaffold (which no model ships).

    Raises ModelError where models are missing or of other sizes.
    """
    from transformers import CsmForConditionalGeneration, MimiModel

    out.mkdir(parents=True, exist_ok=True)
    spoken = _read(CsmForConditionalGeneration, models / LANGUAGE_NAME)
    spoken.codec_model = nn.Identity()
    _fill(codec, _read(MimiModel, models / CODEC_NAME), models / CODEC_NAME)
    _fill(language, spoken, models / LANGUAGE_NAME)
    config: Any = language.config
    checkpoints.save(out / "codes.pt", model=codec.state_dict())
    checkpoints.save(
        out / "alignment.pt",
        average=language.state_dict(),
        scaffold=PhoneScaffold(config.hidden_size).state_dict(),
    )


def _read(kind: Any, folder: Path) -> Any:
    try:
        with quiet():
            return kind.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    except (OSError, ValueError, RuntimeError) as problem:
        raise ModelError(
            f"no model to start from in {folder}: {str(problem).splitlines()[0]}",
            f"name a folder that holds {CODEC_NAME} and {LANGUAGE_NAME}",
        ) from problem


def _fill(model: nn.Module, start: nn.Module, folder: Path) -> None:
    try:
        model.load_state_dict(start.state_dict())
    except RuntimeError as problem:
        raise ModelError(
            f"{folder} has other sizes than the recipe: {str(problem).splitlines()[1].strip()}",
            "start from models that this recipe could have made",
        ) from problem
