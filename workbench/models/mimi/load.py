"""A Mimi by itself: shipped, from a folder or the hub, or with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from workbench.errors import ModelError
from workbench.models.checkpoint import Checkpoint, local_checkpoint
from workbench.models.hub import snapshot
from workbench.models.quiet import quiet
from workbench.models.shortage import is_shortage
from workbench.paths import data_dir

if TYPE_CHECKING:
    from transformers import MimiModel

SHIPPED = ("mimi-nano",)
HUB_IDS = {"mimi": "kyutai/mimi"}
RANDOM_RMS = 0.05  # level of the noise that random weights speak: audible, not hurtful


def find_codec(name: str, *, random: bool = False) -> Checkpoint | None:
    """The codec called ``name``: a shipped name, one of the hub's, or a folder with a Mimi.

    None for all other names, such as an engine's. ``random`` asks for the architecture only,
    which for the hub's needs no download. Raises ModelError where files fail their checksum.
    """
    if name in SHIPPED:
        return local_checkpoint(name, data_dir() / "models" / name)
    hub_id = HUB_IDS.get(name, name)
    if hub_id in HUB_IDS.values():
        if random:
            return Checkpoint(name, None, "random")
        found = snapshot(hub_id)
        return Checkpoint(name, found.folder, found.revision)
    folder = Path(name)
    if not folder.is_dir():
        return None
    settings = Checkpoint(folder.name, folder, "").read_json_or_empty("config.json")
    return local_checkpoint(folder.name, folder) if settings.get("model_type") == "mimi" else None


def load_codec(checkpoint: Checkpoint, *, random: bool = False) -> MimiModel:
    """The codec in float32 on the CPU; ``random`` fills its architecture without reading weights.

    Raises ModelError for files that are missing, truncated, or don't fit the architecture.
    """
    with quiet():
        from transformers import MimiConfig, MimiModel

        if random or checkpoint.folder is None:
            config = MimiConfig(use_cache=False)
            if checkpoint.folder is not None:
                config = MimiConfig.from_pretrained(checkpoint.folder)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                codec = MimiModel(config)
                make_audible(codec)
        else:
            codec = _trained(checkpoint.name, checkpoint.folder)
    codec.float().eval().requires_grad_(False)
    forget_tables(codec)
    return codec


def make_audible(codec: Any) -> None:
    """Gives a float32 codec with random weights codebooks, and its sound a level.

    transformers leaves new codebooks at zero, so that every code would sound alike. Draws from
    PyTorch's random numbers.
    """
    books: Any = [module for module in codec.modules() if hasattr(module, "embed_sum")]
    for book in books:
        book.embed_sum.normal_()
        book.cluster_usage.fill_(1.0)
    config = codec.config
    codes = torch.randint(config.codebook_size, (1, config.num_quantizers, 5))
    with torch.no_grad():
        level = codec.decode(codes).audio_values.std()
        for module in codec.decoder.modules():
            if isinstance(module, torch.nn.Conv1d) and module.out_channels == 1:
                module.weight.mul_(RANDOM_RMS / level)
                if module.bias is not None:
                    module.bias.mul_(RANDOM_RMS / level)


def forget_tables(codec: torch.nn.Module) -> None:
    """Drops transformers' cached codebooks, which don't follow a change of dtype or device."""
    books: Any = [module for module in codec.modules() if hasattr(module, "_embed")]
    for book in books:
        book._embed = None


def _trained(name: str, folder: Path) -> MimiModel:
    from safetensors import SafetensorError
    from transformers import MimiModel

    if not list(folder.glob("*.safetensors")):
        raise ModelError(
            f"{name}: no .safetensors file in {folder}",
            "only safetensors weights are loaded; convert the checkpoint or restore the file",
        )
    try:
        codec, report = MimiModel.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
    except (SafetensorError, OSError, RuntimeError) as problem:
        if is_shortage(problem):
            raise
        raise ModelError(
            f"{name}: the weights in {folder} can't be read: {problem}", "restore the files"
        ) from problem
    for kind in ("missing_keys", "mismatched_keys"):
        if names := sorted(map(str, report[kind])):
            raise ModelError(
                f"{name}: {len(names)} weights are {kind.removesuffix('_keys')}, first {names[0]}",
                "the weights don't belong to this config.json: restore both from one source",
            )
    return codec
