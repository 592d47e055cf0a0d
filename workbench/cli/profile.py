"""``workbench profile``: where an engine's time goes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from workbench.errors import InputError

_TEXT = "Good morning. The meeting starts at nine."


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "profile",
        help="look into one request: stages, operators, gaps, a trace",
        description="Runs a request without the profiler, then under it, and tells which stage "
        "takes the time, how far\nit is from the roofline, when nothing ran, and which switch "
        "to try next. The times in the table\nare those without the profiler.",
        epilog="examples:\n"
        "  workbench profile\n"
        "  workbench profile --optimizations none      # transformers' generate\n"
        "  workbench profile --optimizations frame_step,true_streaming --out outputs/p\n"
        "  workbench profile --host                    # Python functions too (pyinstrument)\n",
    )
    command.add_argument("text", nargs="?", default=_TEXT, help="what to say (default: a sentence)")
    command.add_argument(
        "--engine", default="csm-nano", help="a name, folder or hub id (default: %(default)s)"
    )
    command.add_argument(
        "--optimizations",
        help="switches (a,b,c), none, or a preset's name (default: the preset default)",
    )
    command.add_argument("--weights", choices=("auto", "random"), default="auto")
    command.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")
    command.add_argument("--frames", type=int, default=8, help="frames of 80 ms (default: 8)")
    command.add_argument("--runs", type=int, default=3, help="timed runs (default: 3)")
    command.add_argument(
        "--ceilings-s",
        type=float,
        default=4.0,
        help="seconds for measuring the roofline; 0 leaves it out (default: 4)",
    )
    command.add_argument("--stacks", action="store_true", help="Python functions in the trace")
    command.add_argument("--host", action="store_true", help="sample Python functions too")
    command.add_argument(
        "--out",
        type=Path,
        default=Path("outputs/profile"),
        help="folder for trace and JSON (default: %(default)s)",
    )
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Profiles; returns what ``Profile.to_dict`` says and where the files lie."""
    from workbench.engines.load import load
    from workbench.hardware.ceilings import measure_ceilings
    from workbench.profiling.profile import profile

    if options.ceilings_s < 0:
        raise InputError(f"{options.ceilings_s} s for the ceilings", "use 0 or more")
    engine = load(
        options.engine,
        weights=options.weights,
        device=options.device,
        optimizations=_optimizations(options.optimizations),
    )
    ceilings = measure_ceilings(options.ceilings_s) if options.ceilings_s else None
    found = profile(
        engine,
        options.text,
        out=options.out,
        frames=options.frames,
        runs=options.runs,
        ceilings=ceilings,
        stacks=options.stacks,
    )
    summary = found.to_dict() | {"trace": str(found.trace_path)}
    if options.host:
        summary["host"] = _host(engine, options)
    if not options.json:
        print(found.describe())
        print(f"\ntrace: {found.trace_path}")
        print(f"  tensorboard --logdir {options.out}   (tab PYTORCH_PROFILER)")
        print("  https://ui.perfetto.dev → Open trace file")
        print("  both need a network in the browser: docs/profiling.md")
        if options.host:
            print(f"Python functions: {summary['host']['html']}")
    return summary, 0


def _host(engine: Any, options: argparse.Namespace) -> dict[str, Any]:
    from workbench.profiling.host import host_profile
    from workbench.profiling.profile import request_of

    request = request_of(engine, options.text, options.frames)
    sampled = host_profile(request, options.out, requests=options.runs)
    functions = [
        {"function": row.function, "where": row.where, "self_ms": row.self_ms, "share": row.share}
        for row in sampled.functions[:20]
    ]
    return {"html": str(sampled.html_path), "samples": sampled.samples, "functions": functions}


def _optimizations(given: str | None) -> list[str] | str | None:
    """A list of switches, a preset's name, or None where nothing is said."""
    from workbench.optimizations.presets import PRESETS

    if given is None or given in PRESETS:
        return given
    return [] if given == "none" else given.split(",")
