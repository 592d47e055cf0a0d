"""``workbench bench rvq``: the native search of Mimi's codebooks against what PyTorch offers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from workbench.cli.bench_record import add_out, begun
from workbench.cli.lists import numbers
from workbench.errors import InputError


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "rvq",
        help="the search of Mimi's codebooks, native against PyTorch",
        description="The search of Mimi's codebooks, native against transformers' quantizer, "
        "against the best that\nPyTorch's operators do (addmm on codebooks kept transposed) and "
        "against that compiled. All take\nturns in every round; a whole encode stands beside it. "
        "Needs the native kernels.",
        epilog="examples:\n"
        "  workbench bench rvq --out outputs/rvq\n"
        "  workbench bench rvq --frames 1,125 --no-compile --json | tail -n 1\n",
    )
    command.add_argument("--frames", default="1,13,125,1250", help="lengths (default: %(default)s)")
    command.add_argument("--threads", default="1,2", help="CPU threads (default: %(default)s)")
    command.add_argument(
        "--seconds", type=float, default=4.0, help="for each length (default: %(default)s)"
    )
    command.add_argument("--device", help="cpu or cuda (default: cpu)")
    command.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    add_out(command)
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Times; exit code 1 if a code was not exact."""
    from workbench.engines.load import device_called
    from workbench.native import describe, native_status
    from workbench.studies.rvq.bench import bench, random_mimi

    device = device_called(options.device or "cpu")
    status = native_status()
    if not status.built:
        raise InputError(f"the native kernels are {status.reason}", status.remedy)
    if device.type == "cuda" and not status.cuda_built:
        raise InputError(f"the CUDA kernels are {status.cuda_reason}", "build them where nvcc is")
    record = begun("rvq", options)
    samples: list[tuple[str, Sequence[float], str]] = []
    summary = bench(
        random_mimi().to(device),
        frames=numbers("--frames", options.frames),
        threads=numbers("--threads", options.threads),
        seconds=options.seconds,
        compiled=not options.no_compile,
        progress=lambda what: print(f"{what} …", file=sys.stderr, flush=True),
        keep=lambda *sample: samples.append(sample),
    )
    summary = {"kernels": describe(), "device": str(device), **summary}
    exact = all(one["exact"] for one in summary["frames"].values())
    if options.out is not None:
        verdict = "all codes exact" if exact else "not all codes are exact"
        path = record.write(options.out, verdict, samples, kernels=describe(), exact=exact)
        summary["record"] = str(path)
    if not options.json:
        _show(summary)
    return summary, 0 if exact else 1


def _show(summary: dict[str, Any]) -> None:
    print(summary["kernels"])
    for length, one in summary["frames"].items():
        codes = "all codes exact" if one["exact"] else f"{one['wrong']} CODES WRONG"
        print(f"{length} frames: {codes} ({one['codes']})")
        others = {key: one[key] for key in one if key.startswith("threads_")}
        for name, figures in {f"threads_{one['threads']}": one, **others}.items():
            low, high = figures["vs_best_torch_interval"]
            line = (
                f"  {name.removeprefix('threads_')} threads: {figures['native_ms']:.2f} ms, "
                f"{figures['vs_best_torch']:.1f}× ({low:.1f}–{high:.1f}) the best of PyTorch "
                f"({figures['best_torch']}), {figures['vs_transformers']:.1f}× transformers"
            )
            if "whole_encode" in figures:
                whole = figures["whole_encode"]
                line += f"; a whole encode {whole['vs_transformers']:.2f}×"
            print(line)
