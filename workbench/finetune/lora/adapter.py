"""A new adapter in a model, and an adapter's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.files import write_json
from workbench.finetune.nano.export import finish
from workbench.models.csm.adapter import ABOUT, outdated_names
from workbench.models.quiet import quiet

# The attention of the backbone; all projections of the depth decoder, which is small.
TARGETS = (
    r"backbone_model\.layers\.\d+\.self_attn\.(q|k|v|o)_proj"
    r"|depth_decoder\.model\.layers\.\d+\.(self_attn\.(q|k|v|o)_proj|mlp\.(gate|up|down)_proj)"
)


def new_adapter(model: Any, rank: int, alpha: int, dropout: float = 0.0) -> Any:
    """``model`` as a ``PeftModel``: its own weights frozen, low-rank ones in float32 beside them.

    A fresh adapter changes nothing: one of its two factors is zero. Raises InputError where peft
    is missing or for a rank below 1.
    """
    try:
        with quiet():
            from peft import LoraConfig, get_peft_model
    except ImportError as problem:
        raise InputError(f"peft is not installed: {problem}", "pip install peft") from problem
    if rank < 1:
        raise InputError(f"a rank of {rank}", "use at least 1; 16 is a good start")
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=TARGETS)
    with outdated_names():
        return get_peft_model(model, config)


def save_adapter(model: Any, folder: Path, about: Mapping[str, Any], card: str) -> Path:
    """Writes a ``PeftModel``'s adapter in peft's layout, safetensors only, with its card.

    ``about`` must have what ``workbench.models.csm.adapter.Adapter`` reads: ``base``,
    ``base_revision``, ``voice`` and ``voice_name``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for config in model.peft_config.values():
        config.base_model_name_or_path = about["base"]  # not the path of this machine's files
    with quiet():
        # Embeddings aren't adapted; "auto" would ask the hub for the base's configuration.
        model.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)
    write_json(folder / ABOUT, dict(about))
    return finish(folder, card)
