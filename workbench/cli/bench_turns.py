"""``workbench bench turns``: false cut-offs against latency, by silence alone and by words."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import Any

from workbench.cli.bench_record import add_out, begun
from workbench.cli.lists import names, plain
from workbench.errors import InputError
from workbench.studies.turns.study import (
    BUDGETS,
    TurnStudy,
    models_called,
    spoken_turns,
    study_turns,
)

_NONE, _TRUE = "none", "true"


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "turns",
        help="turn detectors: how often they cut a speaker off, against how long they wait",
        description="Sentences with hesitations between their words are spoken, a detector finds "
        "the silences, and a chat\nmodel judges in each whether the turn is over. Waits are chosen "
        "on one half of the turns and measured on the other.",
        epilog="examples:\n"
        "  workbench bench turns --turns 100\n"
        "  workbench bench turns --judge none --vad silero,webrtc --json\n"
        "  workbench bench turns --words whisper-nano --out outputs/turns\n",
    )
    add = command.add_argument
    add("--turns", type=int, default=60, help="(default: %(default)s)")
    add("--vad", default="silero", help="the first one's silences are judged (default: silero)")
    add("--judge", default="chat-nano", help="a chat model, or none (default: %(default)s)")
    add("--words", default=_TRUE, help="true, or a recognizer to hear them (default: true)")
    add("--engine", default="csm-nano", help="that speaks (default: %(default)s)")
    add("--voice", type=int, default=0, help="(default: %(default)s)")
    add("--budgets", default=",".join(f"{one:g}" for one in BUDGETS),
        help="shares of hesitations that may be cut off (default: %(default)s)")  # fmt: skip
    add("--threads", type=int, default=1, help="(default: %(default)s)")
    add("--seed", type=int, default=0, help="(default: %(default)s)")
    add_out(command)
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Speaks the turns, collects the silences and tells."""
    from tqdm import tqdm

    import workbench

    judge, transcribe, words = models_called(
        None if options.judge == _NONE else options.judge,
        None if options.words == _TRUE else options.words,
        options.threads,
    )
    record = begun("turns", options)
    engine = workbench.load(options.engine)
    turns = spoken_turns(
        engine,
        options.turns,
        voice=options.voice,
        seed=options.seed,
        wrap=lambda texts: tqdm(texts, desc="speaking", leave=False, file=sys.stderr),
    )
    study = study_turns(
        turns,
        names(options.vad),
        judge,
        transcribe=transcribe,
        words=words,
        budgets=_shares(options.budgets),
        wrap=lambda clips: tqdm(clips, desc="listening", leave=False, file=sys.stderr),
    )
    told = _told(study)
    if options.out is not None:
        silences = asdict(study.first)
        path = record.write(options.out, study.verdict, study.samples_taken(), silences=silences)
        told["record"] = str(path)
    if not options.json:
        _show(study)
    return told, 0


def _shares(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",") if part.strip()]
    except ValueError as problem:
        raise InputError(f"budgets {text!r}", "give shares with commas: 0.05,0.1") from problem
    if not found or not all(0 <= share <= 1 for share in found):
        raise InputError(f"budgets {text!r}", "give shares between 0 and 1")
    return found


def _told(study: TurnStudy) -> dict[str, Any]:
    return {
        "turns": study.first.turns,
        "missed": len(study.first.missed),
        "hesitations": study.hesitations,
        "judge": study.first.judge,
        "words": study.first.words,
        "fixed_wait": asdict(study.fixed),
        "saved": asdict(study.saved) if study.saved else None,
        "budgets": [plain(row) for row in study.rows()],
        "detectors": [plain(row) for row in study.detector_rows()],
        "verdict": study.verdict,
    }


def _show(study: TurnStudy) -> None:
    for row in (*study.detector_rows(), *study.rows()):
        print("  " + ", ".join(f"{name}: {value}" for name, value in row.items()))
    print(study.verdict)
