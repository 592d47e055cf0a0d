"""``workbench train chat``: a chat model's manner, from questions and answers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "chat",
        help="teach a chat model from question and answer pairs (LoRA)",
        description='DATA is a JSONL file: {"question": "…", "answer": "…"} on each line.\n'
        "Writes the adapter, and the merged model, which is used by its folder.",
        epilog="example:\n  workbench train chat pairs.jsonl --base llama-3.2-1b --epochs 3\n",
    )
    add = command.add_argument
    add("data", type=Path, help="JSONL file of pairs")
    add("--out", type=Path, default=Path("outputs/train/chat"), help="(default: %(default)s)")
    add("--base", default="chat-nano", help="a name, folder or hub id (default: %(default)s)")
    add("--epochs", type=int, help="(default: 3)")
    add("--batch", type=int, help="(default: 8)")
    add("--rate", type=float, help="peak learning rate (default: 5e-4)")
    add("--rank", type=int, help="(default: 16)")
    add("--alpha", type=int, help="(default: 32)")
    add("--precision", choices=("bf16", "float32"), help="(default: float32)")
    add("--checkpointing", action="store_true", help="less memory, more time")
    return command


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Trains; returns where the model is and its losses."""
    from workbench.finetune.chat.train import ChatRecipe, finetune_chat

    names = ("epochs", "batch", "rate", "rank", "alpha", "precision")
    settings = {
        name: getattr(options, name) for name in names if getattr(options, name) is not None
    }
    return finetune_chat(
        options.data,
        options.out,
        base=options.base,
        device=options.device,
        resume=not options.fresh,
        threads=options.threads,
        recipe=ChatRecipe(checkpointing=options.checkpointing, **settings),
    )
