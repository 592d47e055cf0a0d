"""``workbench train lora``: a voice from a folder of recordings and texts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.finetune.lora import STAGES


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "lora",
        help="teach CSM a voice: a LoRA adapter from recordings and their texts",
        description="The codec stays as it is; the backbone's attention and the depth decoder get "
        "a low-rank adapter.\nLoad it with workbench.load(base, adapter=OUT/adapter), which adds "
        f"it to the weights.\nStages: {', '.join(STAGES)}; merge, which writes base and adapter "
        "as one checkpoint, isn't part of all.",
        epilog="examples:\n"
        "  workbench train lora recordings/ --out outputs/anna --voice-name Anna "
        '--consent "by Anna, 2026-11-20, for this product"\n'
        "  workbench train lora recordings/ --out outputs/anna --base csm-1b --checkpointing "
        "--batch auto\n"
        "  workbench train lora recordings/ --out outputs/anna --stage merge\n",
    )
    add = command.add_argument
    add("data", type=Path, help="folder of recordings and texts (see docs/finetuning.md)")
    add("--out", type=Path, default=Path("outputs/train/lora"), help="(default: %(default)s)")
    add("--hub", metavar="NAME", help="first copy this data set of the hub into DATA")
    add("--base", default="csm-nano", help="engine, folder or hub id (default: %(default)s)")
    add("--voice", type=int, default=0, help="speaker number to speak as (default: %(default)s)")
    add("--voice-name", default="", help="whose voice it is (default: the folder's name)")
    add("--consent", default="", help="a note of who allowed what; kept with the adapter")
    add("--stage", default="all", choices=STAGES, help="one stage only (default: all)")
    add("--minutes", type=float, help="time limit of the training in this call")
    add("--epochs", type=int, help="(default: 10)")
    add("--batch", help="recordings of a step, or auto: as many as fit (default: 4)")
    add("--rank", type=int, help="(default: 16)")
    add("--alpha", type=int, help="(default: 32)")
    add("--rate", type=float, dest="peak_rate", help="peak learning rate (default: 1e-3)")
    add("--depth-share", type=float, help="of the frames that the depth decoder sees (1/16)")
    add("--precision", choices=("bf16", "float32"), help="(default: bf16)")
    add("--checkpointing", action="store_true", help="less memory, more time")
    add("--workers", type=int, default=0, help="processes that read batches ahead (default: 0)")
    return command


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Trains; returns what the stages did."""
    from workbench.finetune.lora.batches import Loading
    from workbench.finetune.lora.train import train_lora
    from workbench.finetune.lora.training import LoraRecipe
    from workbench.finetune.recordings import from_hub

    names = ("epochs", "rank", "alpha", "peak_rate", "depth_share", "precision")
    settings = {
        name: getattr(options, name) for name in names if getattr(options, name) is not None
    }
    if options.batch is not None:
        settings["batch"] = _batch(options.batch)
    if options.hub and not options.data.is_dir():
        from_hub(options.hub, options.data)
    recipe = LoraRecipe(
        checkpointing=options.checkpointing, loading=Loading(options.workers), **settings
    )
    return train_lora(
        options.data,
        options.out,
        base=options.base,
        voice=options.voice,
        voice_name=options.voice_name,
        consent=options.consent,
        stage=options.stage,
        minutes=options.minutes,
        device=options.device,
        resume=not options.fresh,
        threads=options.threads,
        recipe=recipe,
    )


def _batch(text: str) -> int | None:
    if text == "auto":
        return None
    try:
        return int(text)
    except ValueError as problem:
        raise InputError(f"a batch of {text!r}", "give a number, or auto") from problem
