"""``workbench train whisper``: a recognizer for one's own voice, words or noise."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "whisper",
        help="teach Whisper a voice, words or noise, from recordings and their texts",
        description="transformers' Seq2SeqTrainer, then CTranslate2's layout for faster-whisper.\n"
        "Use the result by its folder: workbench transcribe a.wav --engine OUT/model.",
        epilog="example:\n"
        "  workbench train whisper recordings/ --base small.en --replay known/ --epochs 3\n",
    )
    add = command.add_argument
    add("data", type=Path, help="folder of recordings and texts (see docs/finetuning.md)")
    add("--out", type=Path, default=Path("outputs/train/whisper"), help="(default: %(default)s)")
    add("--base", default="whisper-nano", help="a size, folder or hub id (default: %(default)s)")
    add("--replay", type=Path, help="recordings it understands already, against forgetting")
    add("--epochs", type=int, help="(default: 3)")
    add("--batch", type=int, help="(default: 8)")
    add("--rate", type=float, help="peak learning rate (default: 1e-4)")
    add("--noise-share", type=float, help="of the recordings that get noise (default: 0.3)")
    add("--precision", choices=("bf16", "float32"), help="(default: float32)")
    add("--checkpointing", action="store_true", help="less memory, more time")
    add("--freeze-encoder", action="store_true", help="train the decoder alone")
    add("--workers", type=int, default=0, help="processes that read batches ahead (default: 0)")
    return command


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Trains; returns where the model is and its losses."""
    from workbench.finetune.whisper.train import WhisperRecipe, finetune_whisper

    names = ("epochs", "batch", "rate", "noise_share", "precision")
    settings = {
        name: getattr(options, name) for name in names if getattr(options, name) is not None
    }
    return finetune_whisper(
        options.data,
        options.out,
        base=options.base,
        replay=options.replay or (),
        device=options.device,
        resume=not options.fresh,
        threads=options.threads,
        recipe=WhisperRecipe(
            checkpointing=options.checkpointing,
            freeze_encoder=options.freeze_encoder,
            workers=options.workers,
            **settings,
        ),
    )
