"""``workbench ablate``: which optimizations help, by how much, and what they do to the sound."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.studies.ablation import defaults

_FIELDS = ("engine", "weights", "device", "voice", "design", "optimizations", "base", "texts",
           "max_frames", "threads", "trials", "starts", "passes", "seconds", "threshold", "seed",
           "sentences")  # fmt: skip


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options; what isn't given keeps the study file's or the default value."""
    command: argparse.ArgumentParser = commands.add_parser(
        "ablate",
        help="measure optimizations in pairs, with intervals, a verdict each, and their sound",
        description="Measures switches in interleaved trials, each arm in a process of its own, "
        "with an A/A control in\nevery study, and checks each switch's promise about the sound.",
        epilog="examples:\n"
        "  workbench ablate --optimizations fused_projections,bf16 --trials 40\n"
        "  workbench ablate --optimizations all --out outputs/all --json\n"
        "  workbench ablate --design ladder --threads 1 --out outputs/ladder\n"
        "  workbench ablate --study my-study.yaml --out outputs/mine     # fields: the options\n"
        "\nRun again with the same --out, it goes on where it was interrupted.\n",
    )
    options: tuple[tuple[str, dict[str, Any]], ...] = (
        ("study", {"type": Path, "metavar": "FILE", "help": "YAML or JSON of these options"}),
        ("engine", {"help": f"(default: {defaults.ENGINE})"}),
        ("weights", {"choices": ("auto", "random"), "help": "random: for timing"}),
        ("device", {"help": "cpu or cuda (default: cuda where there is one)"}),
        ("voice", {"type": int, "help": f"speaker id (default: {defaults.VOICE})"}),
        ("design", {"choices": defaults.DESIGNS, "help": f"(default: {defaults.DESIGN})"}),
        ("optimizations", {"type": _names, "metavar": "A,B|all",
                           "help": "switches as name or name=value (default: all)"}),
        ("base", {"type": _list, "metavar": "A,B", "help": "switches that are on in every arm"}),
        ("max-frames", {"type": int, "help": "cuts every speech (80 ms a frame)"}),
        ("threads", {"type": int, "help": "CPU threads of every arm (default: the engine's)"}),
        ("trials", {"type": int, "help": f"rounds a study at most (default: {defaults.TRIALS})"}),
        ("starts", {"type": int, "help": "processes each arm goes through (default: the plan's)"}),
        ("passes", {"type": int, "help": "texts each arm speaks a round, in turns (default: 1)"}),
        ("seconds", {"type": float, "help": "most time for the trials of each study"}),
        ("threshold", {"type": float,
                       "help": f"the least that matters (default: {defaults.THRESHOLD})"}),
        ("seed", {"type": int, "help": "of orders and sampling (default: 0)"}),
        ("sentences", {"type": int, "help": "spoken to check each arm's sound; 0: no check "
                                            f"(default: {defaults.SENTENCES})"}),
        ("out", {"type": Path, "help": "folder of the result (default: outputs/ablation-<time>)"}),
    )  # fmt: skip
    for name, settings in options:
        command.add_argument(f"--{name}", **settings)
    command.add_argument(
        "--text", dest="texts", action="append", help="spoken in turn, one a trial; repeatable"
    )
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Runs the ablation; exit code 1 where nothing could be measured."""
    from workbench.measure.record import outputs_dir
    from workbench.studies.ablation.run import run_ablation
    from workbench.studies.ablation.settings import read_settings, settings_from

    fields: dict[str, Any] = {}
    if options.study is not None:
        fields = read_settings(options.study).model_dump(exclude_unset=True)
    given = {name: getattr(options, name) for name in _FIELDS}
    fields |= {name: value for name, value in given.items() if value is not None}
    settings = settings_from(fields, "ablate")
    out = options.out or outputs_dir() / time.strftime("ablation-%Y%m%d-%H%M%S")
    result = run_ablation(settings, out, lambda words: print(words, file=sys.stderr, flush=True))
    if not options.json:
        _describe(result)
    return result.to_dict(), 0 if result.studies else 1


def _describe(result: Any) -> None:
    for row in result.rows:
        verdict = row.verdict or "–"
        figure = f"{row.ratio} by {row.metric} against {row.against}" if row.ratio else row.reason
        print(f"{row.name:<24} {verdict:<10} {figure}")
        if row.verdict is not None:
            print(f"{'':<35} {row.sound_words}")
        if row.ratio and row.reason:
            print(f"{'':<35} {row.reason}")
    for name, judgement in result.controls().items():
        print(f"A/A control of {name}: {judgement}")
    print(result.finding)
    print(result.folder)


def _list(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError("an empty list of optimizations", "name some, as a,b")
    return names


def _names(text: str) -> list[str] | str:
    return text if text == "all" else _list(text)
