"""``workbench claims``: what others say an optimization is worth, answered on this machine."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

_FIELDS = ("engine", "weights", "device", "voice", "max_frames", "threads", "trials", "starts",
           "seconds", "seed", "sentences")  # fmt: skip


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options; what isn't given keeps the ablation's default value."""
    command: argparse.ArgumentParser = commands.add_parser(
        "claims",
        help="confirm or refute, on this machine, what others claim of optimizations",
        description="Answers every claim of the ledger (data/claims.yaml): confirmed, partly, "
        "refuted, or not measurable here,\nwith the measured interval beside the claimed one and "
        "the reason. Measures what no --from folder holds;\n--no-run answers from records alone. "
        "Conversations, adapters, chat models and the native quantizer are measured\nby commands "
        "of their own, which the answers name.",
        epilog="examples:\n"
        "  workbench claims --out outputs/claims --json\n"
        "  workbench claims --from outputs/all --out outputs/claims      # after workbench ablate\n"
        "  workbench claims --from outputs/all --from outputs/talks --no-run\n"
        "  workbench claims --ids fern.compile.tts,rtx50.compile --trials 60\n"
        "\nRun again with the same --out, it goes on where it was interrupted.\n",
    )
    add = command.add_argument
    add("--from", dest="sources", type=Path, action="append", default=[], metavar="DIR",
        help="what ablate, converse --compare, a bench or a notebook wrote, or earlier answers: "
        "used before measuring; repeatable")  # fmt: skip
    add("--ids", metavar="A,B", default="", help="only these claims (default: all)")
    add("--no-run", action="store_true", help="measure nothing: answer from --from alone")
    add("--engine", help="the synthesizer (default: csm-nano)")
    add("--weights", choices=("auto", "random"), help="random: timing only, its sound is noise")
    add("--device", help="cpu or cuda (default: cuda where there is one)")
    add("--voice", type=int, help="speaker id (default: 0)")
    add("--max-frames", type=int, help="cuts every speech (80 ms a frame)")
    add("--threads", type=int, help="CPU threads of every arm (default: the engine's choice)")
    add("--trials", type=int, help="rounds of each study at most (default: 40)")
    add("--starts", type=int, help="processes each arm goes through (default: the plan's)")
    add("--seconds", type=float, help="most time for the trials of each study")
    add("--seed", type=int, help="of orders and sampling (default: 0)")
    add("--sentences", type=int, help="spoken to check each arm's sound; 0: no check (default: 10)")
    add("--out", type=Path, help="folder of the answers (default: outputs/claims-<time>)")
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Answers the claims."""
    from workbench.measure.record import outputs_dir
    from workbench.studies.claims import answer_claims, claims_settings

    given = {name: getattr(options, name) for name in _FIELDS}
    settings = claims_settings(
        {name: value for name, value in given.items() if value is not None}, "claims"
    )
    answers = answer_claims(
        settings,
        options.out or outputs_dir() / time.strftime("claims-%Y%m%d-%H%M%S"),
        sources=options.sources,
        ids=[name.strip() for name in options.ids.split(",") if name.strip()],
        measure=not options.no_run,
        progress=lambda words: print(words, file=sys.stderr, flush=True),
    )
    if not options.json:
        _describe(answers)
    return answers.to_dict(), 0


def _describe(answers: Any) -> None:
    for standing, group in answers.by_standing.items():
        print(f"{str(standing).upper()} ({len(group)})")
        for row, one in zip(answers.table(standing), group, strict=True):
            print(f"  {one.claim.id:<27} {row['claimed']:<32} {row['measured']}")
            print(f"  {'':<27} {one.reason}")
        print()
    print(answers.finding)
    print(answers.folder)
