"""``workbench bench codec``: programs that decode Mimi's codes, their speed and exactness."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from workbench.cli.bench_record import add_out, begun
from workbench.cli.lists import names, numbers
from workbench.measure.codec_arm import BACKENDS
from workbench.studies.codec.result import CodecStudy
from workbench.studies.codec.study import CODEC, FRAMES, TRIALS, compare_decoders


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "codec",
        help="Mimi's decoder: transformers, our streaming step, native and ONNX Runtime",
        description="All decode the same codes as streams of each length, frame by frame, and take "
        "turns, each in a process\nof its own. transformers can't stream Mimi's decoder: it has "
        "all frames at once, and its first sound\nat the end. Exactness is against its offline "
        "decode in float64. On the CPU, in float32.",
        epilog="examples:\n"
        "  workbench bench codec --out outputs/codec\n"
        "  workbench bench codec --ways torch,native --frames 125 --threads 2 --json\n"
        "  workbench bench codec --codec mimi --weights random   # CSM-1B's size, times alone\n",
    )
    add = command.add_argument
    named = "mimi-nano, mimi, a folder, or an engine with a Mimi (default: %(default)s)"
    add("--codec", "--engine", default=CODEC, help=named)
    add("--weights", choices=("auto", "random"), default="auto")
    add("--ways", default=",".join(BACKENDS), help="first: baseline (default: %(default)s)")
    add("--frames", default=",".join(map(str, FRAMES)), help="of streams (default: %(default)s)")
    add("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    add("--trials", type=int, default=TRIALS, help="rounds (default: %(default)s)")
    add("--starts", type=int, help="processes of each way (default: one for 10 rounds, 4 at least)")
    add("--seed", type=int, default=0, help="of codes and order (default: %(default)s)")
    add_out(command)
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Runs and tells; exit code 1 where a way failed."""
    record = begun("codec", options)
    found = compare_decoders(
        options.codec,
        names(options.ways),
        frames=numbers("--frames", options.frames),
        weights=options.weights,
        threads=options.threads,
        trials=options.trials,
        starts=options.starts,
        seed=options.seed,
        progress=lambda words: print(f"{words} …", file=sys.stderr, flush=True),
    )
    told = found.to_dict()
    if options.out is not None:
        details = {name: value for name, value in told.items() if name != "verdict"}
        path = record.write(options.out, found.verdict, found.samples(), **details)
        told["record"] = str(path)
    if not options.json:
        _show(found)
    return told, int(bool(found.failed))


def _show(found: CodecStudy) -> None:
    print(found.caption)
    for frames in found.frames:
        print(f"streams of {frames} frames:")
        for way in found.ways:
            against = "" if way == found.baseline else f", {found.judgement(way, frames)}"
            print(
                f"  {way:<14} {found.frame_ms(way, frames)} ms a frame, first sound after "
                f"{found.first_ms(way, frames).value:.3g} ms{against}"
            )
    for way, exact in found.exact.items():
        print(f"  {way:<14} {exact}")
    for way, why in found.left_out.items():
        print(f"  {way:<14} left out: {why}")
    print(found.verdict)
