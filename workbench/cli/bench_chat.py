"""``workbench bench chat``: ways of answering, time to first token and tokens a second."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from workbench.cli.bench_record import add_out, begun
from workbench.cli.lists import names, plain
from workbench.models.chat.find import NANO
from workbench.studies.chat import DEFAULT_WAYS, QUESTIONS, WAYS, ChatComparison


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "chat",
        help="chat models: caches, int8 and drafting, time to first token and tokens a second",
        description="All ways answer the same questions greedily and take turns; each is compared "
        "with the first.\nWays: " + "; ".join(WAYS) + ".",
        epilog="examples:\n"
        "  workbench bench chat\n"
        "  workbench bench chat --engine smollm2-1.7b --draft smollm2-135m --json\n"
        "  workbench bench chat --engine llama-3.2-1b --weights random --out DIR   # times alone\n",
    )
    add = command.add_argument
    add("--engine", default=NANO, help="chat-nano, a known model, a folder or a hub id")
    add("--weights", choices=("auto", "random"), default="auto")
    add("--ways", default="; ".join(DEFAULT_WAYS), help="with semicolons")
    add("--draft", help="smaller model with the same tokens, for the way `drafted`")
    add("--question", action="append", help="may be given several times (default: six)")
    add("--max-tokens", type=int, default=100, help="(default: %(default)s)")
    add("--rounds", type=int, default=3, help="each question once a round (default: %(default)s)")
    add("--device", help="cpu or cuda (default: cuda where there is one)")
    add("--dtype", help="float32, bfloat16 or float16 (default: by the device)")
    add("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the order (default: %(default)s)")
    add_out(command)
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Runs and tells."""
    from tqdm import tqdm

    from workbench.studies.chat import compare_chats, ways

    record = begun("chat", options)
    result = compare_chats(
        options.question or QUESTIONS,
        ways(names(options.ways, ";"), options.draft),
        rounds=options.rounds,
        max_tokens=options.max_tokens,
        seed=options.seed,
        wrap=lambda trials: tqdm(trials, desc="answering", leave=False, file=sys.stderr),
        name=options.engine,
        weights=options.weights,
        device=options.device,
        dtype=options.dtype,
        threads=options.threads,
    )
    told = _told(result)
    if options.out is not None:
        path = record.write(options.out, result.verdict, result.samples(), **result.details())
        told["record"] = str(path)
    if not options.json:
        _show(result)
    return told, 0


def _told(result: ChatComparison) -> dict[str, Any]:
    return {
        "ways": [plain(row) for row in result.rows()],
        "left_out": dict(result.left_out),
        "best": result.best,
        "answers": result.answers(),
        "verdict": result.verdict,
    }


def _show(result: ChatComparison) -> None:
    for way in result.replies:
        against = "" if way == result.baseline else f", {result.ratio(way)}"
        print(
            f"  {way:<24} first text after {result.first_text_ms(way)} ms, "
            f"{result.tokens_per_s(way)} tokens a second{against}"
        )
    for way, reason in result.left_out.items():
        print(f"  {way:<24} left out: {reason}")
    for row in result.answers():
        print(f"  {row['question']} -> {row['answer']}")
    print(result.verdict)
