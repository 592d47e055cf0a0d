"""``workbench bench csm``: transformers' generate against each rung of the frame step."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from workbench.cli.lists import names
from workbench.studies.frames.bench import LOSSY, OURS, THEIRS, Bench, BenchSettings, bench


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    default = BenchSettings()
    command: argparse.ArgumentParser = commands.add_parser(
        "csm",
        help="CSM: transformers' generate against each rung of our frame step",
        description="All arms run on the same weights in one process and take turns in every "
        "round. The limit beside them is\nwhat memory and arithmetic of this machine allow.",
        epilog="examples:\n"
        "  workbench bench csm\n"
        "  workbench bench csm --engine csm-1b --weights random --max-frames 20 --json\n",
    )
    add = command.add_argument
    add("--engine", default=default.engine, help="(default: %(default)s)")
    add("--weights", choices=("auto", "random"), default=default.weights)
    add("--device", help="cpu or cuda (default: cuda where there is one)")
    add("--dtype", help="float32, bfloat16 or float16 (default: by the device)")
    add("--threads", type=int, help="CPU threads (default: the engine's)")
    add("--against", default=",".join(THEIRS), help="their arms (default: %(default)s)")
    add("--ours", default=",".join(OURS), help="our arms (default: %(default)s)")
    add("--lossy", default="", help=f"arms of rounded weights beside them: {', '.join(LOSSY)}")
    add("--trials", type=int, default=default.trials, help="rounds (default: %(default)s)")
    add("--max-frames", type=int, help="cuts every speech (80 ms a frame)")
    add("--seed", type=int, default=default.seed, help="(default: %(default)s)")
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Runs; exit code 1 where nothing could be compared, or codes differ."""
    settings = BenchSettings(
        engine=options.engine,
        weights=options.weights,
        device=options.device,
        dtype=options.dtype,
        threads=options.threads,
        against=names(options.against),
        ours=names(options.ours),
        lossy=names(options.lossy),
        trials=options.trials,
        max_frames=options.max_frames,
        seed=options.seed,
    )
    result = bench(settings, lambda words: print(f"{words} …", file=sys.stderr, flush=True))
    told = result.to_dict()
    if not options.json:
        _show(result, told)
    return told, int(told["speedup"] is None or told["codes_equal"] is False)


def _show(result: Bench, told: dict[str, Any]) -> None:
    print(f"{told['engine']} in {told['dtype']} on {told['device']}: a frame takes at least "
          f"{told['limit_ms']:.2f} ms")  # fmt: skip
    for arm in told["arms"]:
        if "reason" in arm:
            print(f"  {arm['name']:<22} {arm['reason']}")
            continue
        share = arm["percent_of_roofline"]
        limit = "" if share is None else f" ({share:.0f} % of the roofline)"
        print(
            f"  {arm['name']:<22} {arm['frame_ms']['p50']:8.2f} ms a frame{limit}, first audio "
            f"{arm['ttfa_ms']['p50']:.1f} ms, cold start {arm['cold_start_s']:.1f} s"
        )
    speed, first = result.ratio("frame_ms"), result.ratio("ttfa_ms")
    if speed and first:
        print(f"ours against their best: {speed} by frame, {first} to first audio")
    for name, ratio in result.lossy_ratios().items():
        print(f"{name} against our best: {ratio} by frame")
    print(f"codes equal: {told['codes_equal']}")
