"""``workbench train nano``: makes a shipped nano model again from nothing."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.finetune.nano import (
    CHAT_STAGES,
    CLONING_STAGES,
    SPEAKER_STAGES,
    STAGES,
    WHISPER_STAGES,
)

_STAGES = {
    "nano": STAGES,
    "whisper-nano": WHISPER_STAGES,
    "chat-nano": CHAT_STAGES,
    "speaker-nano": SPEAKER_STAGES,
}
MODELS = tuple(_STAGES)
_HELP = {
    "nano": "make mimi-nano and csm-nano again: speech from flite, the codec, the language model",
    "whisper-nano": "make the recognizer of that speech again",
    "chat-nano": "make the model that answers in its words again",
    "speaker-nano": "make the speaker encoder and the sample voices again",
}


def add_parser(commands: Any, model: str) -> argparse.ArgumentParser:
    """Adds the options of training ``model``."""
    command: argparse.ArgumentParser = commands.add_parser(
        model,
        help=_HELP[model],
        description=f"{_HELP[model][0].upper()}{_HELP[model][1:]}.\nEach stage goes on from its "
        f"last checkpoint: {', '.join(_STAGES[model])}.",
        epilog=f"example:\n  workbench train {model} --out outputs/nano\n",
    )
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
    command.add_argument(
        "--cloning",
        action="store_true",
        help="nano: go on from finished models with many more voices, to be taken from a context; "
        f"stages: {', '.join(CLONING_STAGES)}",
    )
    command.add_argument(
        "--start",
        type=Path,
        help="with --cloning: folder of mimi-nano and csm-nano (default: the shipped ones)",
    )
    return command


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Trains; returns what the model's own training function says."""
    if options.cloning and options.model != "nano":
        raise InputError(f"--cloning for {options.model}", "it is an option of nano")
    if options.start and not options.cloning:
        raise InputError("--start without --cloning", "only that goes on from finished models")
    stages = CLONING_STAGES if options.cloning else _STAGES[options.model]
    if options.stage not in stages:
        raise InputError(
            f"{options.model} has no stage {options.stage!r}", f"use one of {', '.join(stages)}"
        )
    from workbench.finetune.nano.chat_train import train_chat_nano
    from workbench.finetune.nano.speaker_train import train_speaker_nano
    from workbench.finetune.nano.train import Recipe, train_nano
    from workbench.finetune.nano.whisper_train import train_whisper_nano

    trainers: dict[str, Callable[..., dict[str, Any]]] = {
        "nano": train_nano,
        "whisper-nano": train_whisper_nano,
        "chat-nano": train_chat_nano,
        "speaker-nano": train_speaker_nano,
    }
    if options.model in ("chat-nano", "speaker-nano") and options.hours_of_speech is not None:
        raise InputError(
            f"{options.model} is made without speech of flite", "leave --hours-of-speech out"
        )
    if options.model == "speaker-nano" and options.minutes is not None:
        raise InputError("speaker-nano's stages can't be interrupted", "leave --minutes out")
    chosen = {
        "recipe": Recipe.cloning(options.start) if options.cloning else None,
        "minutes": options.minutes,
        "hours_of_speech": options.hours_of_speech,
        "threads": options.threads,
    }
    return trainers[options.model](
        options.out,
        stage=options.stage,
        device=options.device or "cpu",
        resume=not options.fresh,
        # What isn't given keeps the function's own default.
        **{name: value for name, value in chosen.items() if value is not None},
    )
