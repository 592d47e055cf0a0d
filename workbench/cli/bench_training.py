"""``workbench bench training``: what each setting of training does to its speed and memory."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "training",
        help="bf16, checkpointing, batch size, loader workers: speed and memory of training",
        description="Trains a LoRA adapter on the same recordings in turn, one setting changed at "
        "a time, against float32\nwith batches of 4; with the verdicts of a study.",
        epilog="examples:\n"
        "  workbench bench training recordings/ --trials 40\n"
        "  workbench bench training recordings/ --base csm-1b --weights random "
        "--settings bf16,checkpointing\n",
    )
    add = command.add_argument
    add("data", type=Path, help="folder of recordings and texts (see docs/finetuning.md)")
    add("--base", default="csm-nano", help="(default: %(default)s)")
    add("--weights", choices=("auto", "random"), default="auto")
    add("--settings", help="with commas (default: all that work here)")
    add("--device", choices=("cpu", "cuda"), help="(default: the GPU, if any)")
    add("--threads", type=int, help="CPU threads")
    add("--trials", type=int, default=40, help="rounds at most (default: %(default)s)")
    add("--per-trial", type=int, default=8, help="recordings of a trial (default: %(default)s)")
    add("--out", type=Path, default=Path("outputs/bench/training"), help="(default: %(default)s)")
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Runs the study, writes it and tells."""
    from workbench.finetune.lora.ablation import rows, settings_here, training_study
    from workbench.measure.plan import Plan
    from workbench.measure.study_record import write_study

    names = None if options.settings is None else options.settings.split(",")
    _, left_out = settings_here(names, options.device)
    study = training_study(
        options.data,
        options.out / "codes",
        base=options.base,
        weights=options.weights,
        settings=names,
        device=options.device,
        threads=options.threads,
        per_trial=options.per_trial,
        plan=Plan(trials=options.trials),
        progress=(lambda words: None) if options.json else print,
    )
    write_study(options.out / "study", study)
    told: dict[str, Any] = {"rows": rows(study), "left_out": left_out, "verdict": study.verdict}
    if not options.json:
        for row in told["rows"]:
            print("  ".join(f"{name}: {value}" for name, value in row.items()))
        for name, reason in left_out.items():
            print(f"{name}: left out, {reason}")
        print(study.verdict)
    return told, 0
