"""``workbench reel``: a script for several speakers to one track with captions."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.cli.own_settings import add_set, parsed

_DEFAULT_OUT = Path("outputs/reel")


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "reel",
        help="speak a script of several speakers into one track with captions",
        description="Speaks a script (YAML or JSON: speakers, segments, pauses) into one track "
        "with captions (SRT, WebVTT,\nJSON). Run again, it speaks only what is missing or has "
        "changed: also after a crash.",
        epilog="examples:\n"
        "  workbench reel data/scripts/market.yaml --out outputs/market\n"
        "  workbench reel data/scripts/market.yaml --workers 2 --batch-size 1 --json\n"
        "  FISH_SPEECH_PRECISION=half workbench reel script.yaml --format flac\n"
        "\nThe variables of VoiceReel and F5-TTS count where no option is given: "
        "docs/voicereel.md.\n",
    )
    add = command.add_argument
    add("script", type=Path, metavar="SCRIPT", help="a .yaml or .json file")
    add("--out", type=Path, default=_DEFAULT_OUT, help="folder (default: %(default)s)")
    add("--engine", help="speaks instead of the script's own engine")
    add_set(command)
    add("--format", choices=("wav", "flac"), default="wav", help="of the track (default: wav)")
    add("--fresh", action="store_true", help="speak everything anew")
    add("--workers", type=int, help="processes, each with an engine of its own (default: 1)")
    add("--batch-size", type=int, help="segments at a time; 0 (default): automatic")
    add("--device", help="cpu or cuda (default: cuda where there is one)")
    add("--precision", choices=("half", "full"), help="half: 16-bit networks (default on CUDA)")
    add("--plain", action="store_true", help="transformers' generate, without optimizations")
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Speaks; returns the summary and the exit code."""
    from tqdm import tqdm

    from workbench.optimizations.environment import from_environment, setting
    from workbench.reel import make_reel, read_script

    script = read_script(options.script).with_engine(options.engine, parsed(options.set))
    settings = from_environment()
    for variable, value in (
        ("VOICEREEL_MAX_WORKERS", options.workers),
        ("VOICEREEL_BATCH_SIZE", options.batch_size),
        ("FISH_SPEECH_DEVICE", options.device),
        ("FISH_SPEECH_PRECISION", options.precision),
        ("VOICEREEL_USE_OPTIMIZED", False if options.plain else None),
    ):
        if value is not None:
            settings = replace(settings, **setting(variable, str(value)))
    if options.workers is not None and settings.parallel is False:
        settings = replace(settings, parallel=None)  # an option counts more than a variable
    with tqdm(total=len(script.segments), desc="segments", unit="", file=sys.stderr) as bar:

        def told(finished: int, _: int) -> None:
            bar.update(finished - bar.n)

        reel = make_reel(
            script,
            options.out,
            settings,
            track_format=options.format,
            fresh=options.fresh,
            on_segment=told,
        )
    for note in reel.notes:
        print(f"note: {note}", file=sys.stderr)
    summary = reel.summary()
    summary["track"] = str(reel.track_path)
    summary["captions"] = {name: str(path) for name, path in reel.caption_paths.items()}
    if not options.json:
        _describe(reel)
    return summary, 0


def _describe(reel: Any) -> None:
    from workbench.reel.monitor import summary

    for caption in reel.captions:
        print(f"{caption.start_s:7.2f}–{caption.end_s:.2f} s  {caption.speaker}: {caption.text}")
    print(
        f"{reel.track_path}: {reel.audio.duration_s:.1f} s, {len(reel.segments)} segments, "
        f"{reel.redone} spoken now, {reel.kept} kept"
    )
    print(f"{reel.verdict}\n{summary(reel.timers)}")
