"""``workbench bench soak``: a thousand texts; nothing may pile up, compile anew or differ."""

from __future__ import annotations

import argparse
from typing import Any

from workbench.cli.bench_streams import switches


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "soak",
        help="many texts of many lengths: does memory grow, does anything compile anew",
        description="Every text is spoken twice with one seed, streamed and offline. Memory must "
        "be flat over the second\nhalf, nothing may be compiled in it, and every clip streamed "
        "must be the offline one.",
        epilog="examples:\n"
        "  workbench bench soak --texts 1000\n"
        "  workbench bench soak --texts 200 --optimizations conversation --json | tail -n 1\n",
    )
    add = command.add_argument
    add("--engine", default="csm-nano", help="(default: %(default)s)")
    add("--weights", choices=("auto", "random"), default="auto")
    add("--device", help="cpu or cuda (default: cuda where there is one)")
    add("--optimizations", help="a preset, or switches with commas (default: the default preset)")
    add("--texts", type=int, default=1000, help="how many, all different (default: %(default)s)")
    add("--max-frames", type=int, help="cuts every speech (80 ms a frame)")
    add("--seed", type=int, default=0, help="of texts and sampling (default: %(default)s)")
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Runs and tells; exit code 1 where memory grew, something was compiled late or differs."""
    from tqdm import tqdm

    import workbench
    from workbench.measure.soak import soak

    engine = workbench.load(
        options.engine,
        weights=options.weights,
        device=options.device,
        optimizations=switches(options.optimizations),
    )
    found = soak(
        engine,
        options.texts,
        max_frames=options.max_frames,
        seed=options.seed,
        wrap=lambda texts: tqdm(texts, desc="texts", disable=options.json),
    )
    if not options.json:
        print(found.verdict)
    return found.to_dict(), int(not found.ok)
