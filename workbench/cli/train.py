"""``workbench train``: fine-tunes on one's own recordings, or makes the shipped models again."""

from __future__ import annotations

import argparse
from typing import Any

from workbench.cli import train_chat, train_lora, train_nano, train_whisper

_TUNED = {"lora": train_lora, "whisper": train_whisper, "chat": train_chat}


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command and its own commands."""
    command: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="fine-tune a voice, a recognizer or a chat model, or train the nano models",
        description="lora, whisper and chat fine-tune a model on your data. nano, whisper-nano,\n"
        "chat-nano and speaker-nano make the shipped models again from nothing. A run that was\n"
        "ended goes on where it stopped.",
        epilog="examples:\n"
        "  workbench train lora recordings/ --out outputs/anna --voice-name Anna\n"
        "  workbench train whisper recordings/ --base small.en\n"
        "  workbench train chat pairs.jsonl\n"
        "  workbench train nano --out outputs/nano                 # everything, hours\n",
    )
    inner = command.add_subparsers(dest="model", required=True, metavar="WHAT")
    for module in _TUNED.values():
        _finish(module.add_parser(inner))
    for name in train_nano.MODELS:
        _finish(train_nano.add_parser(inner, name))
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Trains what was asked for."""
    summary = _TUNED.get(options.model, train_nano).execute(options)
    if not options.json:
        for name, value in summary.items():
            print(f"{name}: {value}")
    return summary, 0


def _finish(made: argparse.ArgumentParser) -> None:
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.add_argument("--device", choices=("cpu", "cuda"), help="(default: the GPU, if any)")
    made.add_argument("--threads", type=int, help="CPU threads (default: all)")
    made.add_argument(
        "--fresh", action="store_true", help="start anew instead of from the last checkpoint"
    )
    made.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,  # said before or after the model's name
        help="print one JSON object as the last line of stdout",
    )
