"""``workbench bench adapter``: what a LoRA adapter costs while the engine speaks."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "adapter",
        help="what a LoRA adapter costs while speaking: merged, and beside the weights",
        description="The time of a frame without the adapter, with it merged into the weights, "
        "and with it beside them:\na study of processes of their own.",
        epilog="examples:\n"
        "  workbench bench adapter outputs/anna/adapter --out outputs/anna/cost\n"
        "  workbench claims --from outputs/anna/cost --no-run --ids fern.lora.latency\n",
    )
    add = command.add_argument
    add("adapter", type=Path, help="folder that `workbench train lora` wrote (OUT/adapter)")
    add("--engine", default="csm-nano", help="that it was trained for (default: %(default)s)")
    add("--voice", type=int, default=0, help="(default: %(default)s)")
    add("--device", help="cpu or cuda (default: cuda where there is one)")
    add("--trials", type=int, default=40, help="rounds at most (default: %(default)s)")
    add("--seed", type=int, default=0, help="of orders and sampling (default: %(default)s)")
    add("--out", type=Path, metavar="DIR", help="write the study with every raw sample into it")
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Runs the study, writes it and tells; exit code 1 where it failed."""
    from workbench.errors import InputError
    from workbench.measure.plan import Plan
    from workbench.measure.study_record import write_study
    from workbench.studies.adapters import MERGED, UNMERGED, adapter_study, finding

    if not options.adapter.is_dir():
        raise InputError(f"no adapter at {options.adapter}", "train one: `workbench train lora`")
    study = adapter_study(
        options.adapter.resolve(),
        engine=options.engine,
        voice=options.voice,
        device=options.device,
        plan=Plan(trials=options.trials, seed=options.seed),
        progress=lambda words: print(words, file=sys.stderr, flush=True),
    )
    told: dict[str, Any] = {
        "verdict": study.verdict,
        "merged": str(study.judgement(MERGED)),
        "unmerged": str(study.judgement(UNMERGED)),
    }
    if options.out is not None:
        write_study(options.out, study)
        told["out"] = str(options.out)
    if not options.json:
        print(finding(study))
    return told, 1 if study.failed else 0
