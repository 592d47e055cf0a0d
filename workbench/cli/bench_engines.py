"""``workbench bench engines``: CSM and guest engines side by side in one interleaved study."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from workbench.cli.bench_record import add_out, begun
from workbench.cli.lists import names, plain
from workbench.cli.own_settings import parsed
from workbench.engines.guests import GUESTS
from workbench.errors import InputError
from workbench.measure.speech import SENTENCES
from workbench.studies.engines.side_by_side import EngineStudy

_ENGINES = ("csm-nano", *GUESTS)


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "engines",
        help="CSM, Piper, Chatterbox, F5-TTS and Fish-Speech: first audio, speed, memory",
        description="All speak the same sentences in turn, each in a process of its own and on its "
        "own packages; the first\nruns once more as a control. Engines that aren't installed are "
        "left out with the command that installs\nthem. Notebook 80_engines has it with plots and "
        "players.",
        epilog="examples:\n"
        "  workbench bench engines --weights random --trials 8 --out outputs/engines\n"
        "  workbench bench engines --engines csm-nano,piper:voice.onnx --json | tail -n 1\n"
        "  workbench bench engines --engines csm-nano,f5 --set f5.reference=me.wav \\\n"
        '      --set f5.reference_text="what is said in it"\n',
    )
    add = command.add_argument
    add("--engines", default=",".join(_ENGINES), help="first: baseline (default: %(default)s)")
    add("--weights", choices=("auto", "random"), default="auto", help="of guests; random: times")
    add("--size", choices=("full", "small"), default="full", help="of random weights")
    add("--sentences", default="short,medium,long", help=f"of {', '.join(SENTENCES)}")
    add("--trials", type=int, default=20, help="rounds, a sentence each (default: %(default)s)")
    add("--starts", type=int, help="processes of each engine (default: four at least)")
    add("--threads", type=int, help="CPU threads (default: the engine's own)")
    add("--max-frames", type=int, help="frames of 80 ms at most (default: the engine's own)")
    add("--seed", type=int, default=0, help="of sampling and order (default: %(default)s)")
    add("--set", action="append", metavar="ENGINE.KEY=VALUE", help="an engine's own; repeatable")
    add_out(command)
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Runs and tells; exit code 1 where an engine failed."""
    from workbench.studies.engines.side_by_side import compare_engines

    settings = _settings(options.set)
    record = begun("engines", options)
    found = compare_engines(
        names(options.engines),
        names(options.sentences),
        trials=options.trials,
        starts=options.starts,
        settings=settings,
        guest_weights=options.weights,
        size=options.size,
        max_frames=options.max_frames,
        threads=options.threads,
        seed=options.seed,
        progress=lambda words: print(f"{words} …", file=sys.stderr, flush=True),
    )
    told = _told(found)
    if options.out is not None:
        path = record.write(options.out, found.verdict, found.samples(), **told)
        told["record"] = str(path)
    if not options.json:
        _show(found)
    return {**told, "verdict": found.verdict}, int(bool(found.failed))


def _settings(given: Sequence[str] | None) -> dict[str, dict[str, Any]]:
    """``["f5.nfe_step=7"]`` as ``{"f5": {"nfe_step": 7}}``; InputError where no engine is named."""
    by_engine: dict[str, list[str]] = {}
    for one in given or ():
        engine, dot, rest = one.partition(".")
        if not dot or "=" in engine:
            raise InputError(f"--set {one}", "write ENGINE.KEY=VALUE, such as f5.nfe_step=7")
        by_engine.setdefault(engine.strip(), []).append(rest)
    return {engine: parsed(ones) for engine, ones in by_engine.items()}


def _told(found: EngineStudy) -> dict[str, Any]:
    return {
        "engines": [plain(row) for row in found.rows()],
        "what_ran": [plain(row) for row in found.what_ran()],
        "texts": list(found.texts),
        "versions": {name: found.versions(name) for name in found.names},
        "left_out": dict(found.left_out),
        "failed": {name: error.message.splitlines()[0] for name, error in found.failed.items()},
        "disturbed": list(found.study.disturbed),
    }


def _show(found: EngineStudy) -> None:
    print(found.caption)
    for row in found.rows():
        print(
            f"  {row['engine']:<12} first audio after {row['first audio (ms)']} ms, real-time "
            f"factor {row['real-time factor']}, {row['characters/s'].value:.3g} characters/s, "
            f"{row['peak memory (MiB)']:.0f} MiB; word errors: {row['word error rate']}"
        )
    for name, why in found.left_out.items():
        print(f"  {name:<12} left out: {why}")
    print(found.verdict)
