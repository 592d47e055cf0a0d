"""``workbench bench``: side by side in one run, for a quick answer in figures."""

from __future__ import annotations

import argparse
from typing import Any

from workbench.cli import (
    bench_adapter,
    bench_asr,
    bench_chat,
    bench_codec,
    bench_csm,
    bench_engines,
    bench_linear,
    bench_reel,
    bench_rvq,
    bench_soak,
    bench_streams,
    bench_training,
    bench_turns,
)

_BENCHES = {
    "adapter": bench_adapter,
    "asr": bench_asr,
    "chat": bench_chat,
    "codec": bench_codec,
    "csm": bench_csm,
    "engines": bench_engines,
    "linear": bench_linear,
    "reel": bench_reel,
    "rvq": bench_rvq,
    "soak": bench_soak,
    "streams": bench_streams,
    "training": bench_training,
    "turns": bench_turns,
}


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command and its own commands."""
    command: argparse.ArgumentParser = commands.add_parser(
        "bench",
        help="time engines, codecs, streams, scripts, recognizers, chat, turns, adapters, kernels",
        description="adapter: what a LoRA adapter costs while speaking.\n"
        "asr: ways of recognizing speech, latency against word errors.\n"
        "chat: ways of answering, time to first token and tokens a second.\n"
        "codec: ways of decoding Mimi's codes, time of a frame and exactness.\n"
        "csm: transformers' generate against each rung of the frame step.\n"
        "engines: CSM and the guests, first audio, speed and memory.\n"
        "linear: linear layers of a decoding step, native against PyTorch.\n"
        "reel: a script's real-time factor, plain, batched and by several processes.\n"
        "rvq: the native search of Mimi's codebooks against PyTorch.\n"
        "streams: how many streams are in real time, and when each is first heard.\n"
        "training: what each setting of training does to its speed and memory.\n"
        "turns: how often turn detectors cut a speaker off, against how long they wait.\n"
        "soak: a thousand texts: memory flat, nothing compiled anew, streamed = offline.",
        epilog="examples:\n  workbench bench csm --json | tail -n 1\n  workbench bench rvq\n",
    )
    inner = command.add_subparsers(dest="bench", required=True, metavar="WHAT")
    for module in _BENCHES.values():
        made = module.add_parser(inner)
        made.formatter_class = argparse.RawDescriptionHelpFormatter
        made.add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,  # said before or after the bench's name
            help="print one JSON object as the last line of stdout",
        )
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Runs the bench that was asked for."""
    return _BENCHES[options.bench].execute(options)
