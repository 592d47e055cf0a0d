"""``workbench train``: makes the shipped nano models again from nothing."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.finetune.nano import CHAT_STAGES, STAGES, WHISPER_STAGES

_STAGES = {"nano": STAGES, "whisper-nano": WHISPER_STAGES, "chat-nano": CHAT_STAGES}


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="train the nano voice, recognizer or chat model from nothing",
        description="nano makes mimi-nano and csm-nano again: speech from flite, the codec, the "
        "language model, their\nword error rates, and the files that ship. whisper-nano makes the "
        "recognizer of that speech, chat-nano\nthe model that answers in its words. Each stage "
        "goes on from its last checkpoint.",
        epilog="examples:\n"
        "  workbench train nano --out outputs/nano                 # everything, hours\n"
        "  workbench train nano --stage codec --minutes 9 --device cuda   # one resumable step\n"
        "  workbench train whisper-nano --out outputs/nano         # takes the speech in there\n"
        "  workbench train chat-nano --minutes 9\n"
        "stages:\n"
        + "".join(f"  {model}: {', '.join(stages)}\n" for model, stages in _STAGES.items()),
    )
    command.add_argument("model", choices=tuple(_STAGES), help="what to train")
    command.add_argument(
        "--out",
        type=Path,
        default=Path("outputs/train/nano"),
        help="folder for data, checkpoints and results (default: %(default)s)",
    )
    command.add_argument(
        "--stage", default="all", metavar="STAGE", help="one stage only (default: all)"
    )
    command.add_argument("--minutes", type=float, help="time limit of each training stage")
    command.add_argument("--hours-of-speech", type=float, help="speech to generate")
    command.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    command.add_argument("--threads", type=int, help="CPU threads (default: all)")
    command.add_argument(
        "--fresh", action="store_true", help="start anew instead of from the last checkpoint"
    )
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Trains; returns what the model's own training function says."""
    stages = _STAGES[options.model]
    if options.stage not in stages:
        raise InputError(
            f"{options.model} has no stage {options.stage!r}", f"use one of {', '.join(stages)}"
        )
    from workbench.finetune.nano.chat_train import train_chat_nano
    from workbench.finetune.nano.train import train_nano
    from workbench.finetune.nano.whisper_train import train_whisper_nano

    trainers: dict[str, Callable[..., dict[str, Any]]] = {
        "nano": train_nano,
        "whisper-nano": train_whisper_nano,
        "chat-nano": train_chat_nano,
    }
    if options.model == "chat-nano" and options.hours_of_speech is not None:
        raise InputError("chat-nano is made without speech", "leave --hours-of-speech out")
    chosen = {
        "minutes": options.minutes,
        "hours_of_speech": options.hours_of_speech,
        "threads": options.threads,
    }
    summary = trainers[options.model](
        options.out,
        stage=options.stage,
        device=options.device,
        resume=not options.fresh,
        # What isn't given keeps the function's own default.
        **{name: value for name, value in chosen.items() if value is not None},
    )
    if not options.json:
        for name, value in summary.items():
            print(f"{name}: {value}")
    return summary, 0
