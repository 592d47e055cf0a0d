"""``workbench bench asr``: ways of recognizing speech, their latency against their word errors."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from workbench.cli.bench_record import add_out, begun
from workbench.cli.lists import names, plain
from workbench.models.whisper.find import NANO
from workbench.studies.asr.study import DEFAULT_WAYS, WAYS, RecognizerComparison


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "asr",
        help="recognizers: compute types, beams and windows, latency against word errors",
        description="All ways hear the same clips and take turns; each is compared with the first, "
        "clip by clip.\nWays: " + "; ".join(WAYS) + ".",
        epilog="examples:\n"
        "  workbench bench asr --sentences 100\n"
        '  workbench bench asr --engine base --weights random --ways "float32; int8" --out DIR\n'
        '  workbench bench asr --ways "float32; int8" --speech recordings --engine small --json\n'
        "  workbench bench asr --engine large-v3-turbo --weights random   # times alone\n",
    )
    add = command.add_argument
    add("--engine", default=NANO, help="whisper-nano, a size, a folder or a hub id")
    add("--weights", choices=("auto", "random"), default="auto")
    add("--ways", default="; ".join(DEFAULT_WAYS), help="with semicolons (default: those for CPUs)")
    add("--sentences", type=int, default=40, help="spoken by --voice-engine (default: %(default)s)")
    add("--voice-engine", default="csm-nano", help="(default: %(default)s)")
    add("--speech", type=Path, help="folder of recordings, each with a .txt of its words, instead")
    add("--rounds", type=int, default=1, help="each clip once a round (default: %(default)s)")
    add("--device", help="cpu or cuda (default: cuda where there is one)")
    add("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    add("--seed", type=int, default=0, help="(default: %(default)s)")
    add_out(command)
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Speaks or reads the clips, runs and tells."""
    from tqdm import tqdm

    from workbench.studies.asr.speech import speech_for
    from workbench.studies.asr.study import chosen, compare_recognizers

    ways = chosen(names(options.ways, ";"))
    clips = speech_for(options.speech, options.voice_engine, options.sentences, seed=options.seed)
    record = begun("asr", options)
    result = compare_recognizers(
        clips,
        ways,
        rounds=options.rounds,
        seed=options.seed,
        wrap=lambda trials: tqdm(trials, desc="listening", leave=False, file=sys.stderr),
        name=options.engine,
        weights=options.weights,
        device=options.device,
        threads=options.threads,
    )
    told = _told(result)
    if options.out is not None:
        path = record.write(options.out, result.verdict, result.samples(), **result.details())
        told["record"] = str(path)
    if not options.json:
        _show(result)
    return told, 0


def _told(result: RecognizerComparison) -> dict[str, Any]:
    return {
        "clips": len(result.clips),
        "ways": [plain(row) for row in result.rows()],
        "left_out": dict(result.left_out),
        "best": result.best,
        "verdict": result.verdict,
    }


def _show(result: RecognizerComparison) -> None:
    for way in result.transcripts:
        against = "" if way == result.baseline else f", {result.ratio(way)}"
        wer, rise = result.wer(way), result.rise(way)
        words = f", word error rate {wer}" if wer else ""
        more = f" ({rise})" if rise and way != result.baseline else ""
        print(f"  {way:<30} {result.latency_ms(way)} ms{against}{words}{more}")
    for way, reason in result.left_out.items():
        print(f"  {way:<30} left out: {reason}")
    print(result.verdict)
