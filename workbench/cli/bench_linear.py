"""``workbench bench linear``: linear layers of a decoding step, few bits against bfloat16."""

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
        "linear",
        help="linear layers of a decoding step, native weights against PyTorch's",
        description="The linear layers of CSM-1B at one to eight rows, where reading the weights "
        "is the time: our 8-bit\nand 4-bit kernels against PyTorch's bfloat16 and float32, all in "
        "turns in every round, from copies\nthat no cache holds; beside them the rate of a plain "
        "read. Needs the native kernels.",
        epilog="examples:\n"
        "  workbench bench linear --threads 1 --out outputs/linear\n"
        "  workbench bench linear --rows 1,4,8 --device cuda --json | tail -n 1\n",
    )
    command.add_argument("--rows", default="1", help="activations at a time (default: %(default)s)")
    command.add_argument(
        "--threads", type=int, default=1, help="CPU threads (default: %(default)s)"
    )
    command.add_argument(
        "--seconds", type=float, default=2.0, help="for each layer (default: %(default)s)"
    )
    command.add_argument(
        "--mib",
        type=int,
        default=512,
        help="bfloat16 weights that a round goes through, more than caches hold "
        "(default: %(default)s)",
    )
    command.add_argument("--device", help="cpu or cuda (default: cpu)")
    add_out(command)
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Times every layer."""
    from workbench.engines.load import device_called
    from workbench.native import describe, native_status
    from workbench.studies.linear.bench import bench

    device = device_called(options.device or "cpu")
    status = native_status()
    if not status.built:
        raise InputError(f"the native kernels are {status.reason}", status.remedy)
    if device.type == "cuda" and not status.cuda_built:
        raise InputError(f"the CUDA kernels are {status.cuda_reason}", "build them where nvcc is")
    record = begun("linear", options)
    samples: list[tuple[str, Sequence[float], str]] = []
    summary = bench(
        rows=numbers("--rows", options.rows),
        threads=options.threads,
        device=device,
        seconds=options.seconds,
        spread_bytes=options.mib << 20,
        progress=lambda what: print(f"{what} …", file=sys.stderr, flush=True),
        keep=lambda *sample: samples.append(sample),
    )
    summary = {"kernels": describe(), **summary}
    if options.out is not None:
        path = record.write(options.out, _verdict(summary), samples, kernels=describe())
        summary["record"] = str(path)
    if not options.json:
        _show(summary)
    return summary, 0


def _each(summary: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (layer, rows, figures)
        for layer, by_rows in summary["layers"].items()
        for rows, figures in by_rows.items()
    ]


def _verdict(summary: dict[str, Any]) -> str:
    said = []
    for bits in (8, 4):
        gains = [figures[f"native_int{bits}"]["speedup"] for _, _, figures in _each(summary)]
        said.append(f"{bits}-bit weights {min(gains):.2f} to {max(gains):.2f} times")
    return f"{', '.join(said)} as fast as bfloat16"


def _show(summary: dict[str, Any]) -> None:
    print(summary["kernels"])
    for layer, rows, figures in _each(summary):
        print(
            f"{layer}, {rows} row{'s' * (rows != '1')} (a plain read: {figures['read_gbs']} GB/s)"
        )
        for name, one in figures.items():
            if not isinstance(one, dict):
                continue
            low, high = one["interval"]
            print(
                f"  {name:12} {one['us']:9.1f} µs, {one['speedup']:.2f}× bfloat16 "
                f"({low:.2f}–{high:.2f}), {one['percent_of_read']:.0f} % of the read's rate"
            )
    print(_verdict(summary))
