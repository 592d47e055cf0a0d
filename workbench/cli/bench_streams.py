"""``workbench bench streams``: how many streams at a time are in real time."""

from __future__ import annotations

import argparse
from typing import Any

from workbench.cli.lists import numbers


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "streams",
        help="how many streams at a time are in real time, and when each is first heard",
        description="Listeners ask a pool for one stream after another, as fast as it can make "
        "them. In real time: 95 % of\nthe chunks come within 80 ms, and no player runs dry.",
        epilog="examples:\n"
        "  workbench bench streams --streams 1,2,4,8\n"
        "  workbench bench streams --engine csm-1b --weights random --optimizations conversation "
        "--streams 64,512 --positions 512 --max-frames 60 --json\n",
    )
    add = command.add_argument
    add("--engine", default="csm-nano", help="(default: %(default)s)")
    add("--weights", choices=("auto", "random"), default="auto")
    add("--device", help="cpu or cuda (default: cuda where there is one)")
    add("--optimizations", help="a preset, or switches with commas (default: the default preset)")
    add("--streams", default="1,2,4,8,16", help="loads (default: %(default)s)")
    add("--sentences", default="short,medium", help="what is said (default: %(default)s)")
    add("--rounds", type=int, default=2, help="each load once a round (default: %(default)s)")
    add("--seconds", type=float, default=6.0, help="of each load (default: %(default)s)")
    add("--max-frames", type=int, help="cuts every stream (80 ms a frame)")
    add("--positions", type=int, help="of each slot's caches (default: all that the model has)")
    add("--prebuffer-ms", type=float, default=0.0, help="of the players (default: %(default)s)")
    add("--seed", type=int, default=0, help="(default: %(default)s)")
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Runs and tells."""
    import workbench
    from workbench.hardware.ceilings import measure_ceilings
    from workbench.measure.concurrency import measure_concurrency
    from workbench.profiling.roofline import frame_limit

    streams = numbers("--streams", options.streams)
    engine = workbench.load(
        options.engine,
        weights=options.weights,
        device=options.device,
        optimizations=switches(options.optimizations),
    )
    dtype = str(engine.dtype).removeprefix("torch.")
    place = "cpu" if engine.device.type == "cpu" else None  # None: the GPU
    ceilings = measure_ceilings(3.0)
    limits = [
        frame_limit(engine.config, ceilings, dtype, streams=count, device=place)
        for count in streams
    ]
    result = measure_concurrency(
        engine,
        streams,
        options.sentences.split(","),
        rounds=options.rounds,
        seconds=options.seconds,
        max_frames=options.max_frames,
        positions=options.positions,
        limits_ms={limit.streams: limit.limit_ms for limit in limits},
        prebuffer_ms=options.prebuffer_ms,
        seed=options.seed,
    )
    told = {"engine": engine.name, "dtype": dtype, **result.to_dict()}
    if not options.json:
        _show(told)
        print(result.verdict)
    return told, 0


def switches(text: str | None) -> str | list[str] | None:
    """A preset's name as it is, switches as a list; None for the default."""
    from workbench.optimizations.presets import PRESETS

    if text is None or text in PRESETS:
        return text
    return [name.strip() for name in text.split(",") if name.strip()]


def _show(told: dict[str, Any]) -> None:
    for load in told["loads"]:
        gaps, first = load["interval_ms"], load["ttfa_ms"]
        print(
            f"  {load['streams']:>5} streams {load['audio_s_per_s']:8.1f} s of audio a second, "
            f"a chunk every {gaps['p50']:.1f} ms (p99 {gaps['p99']:.1f}), first audio "
            f"{first['p50']:.0f} ms (p95 {first['p95']:.0f}), {load['underruns']} underruns"
        )
