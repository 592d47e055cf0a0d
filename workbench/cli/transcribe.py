"""``workbench transcribe``: a sound file to text, with its latency."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench.audio import Audio
from workbench.engines.asr.load import IMPLEMENTATIONS, load_recognizer
from workbench.engines.asr.partials import Partial, partials
from workbench.engines.asr.transcript import Recognizer, Transcript
from workbench.errors import InputError
from workbench.models.whisper.find import NANO


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "transcribe",
        help="write down what a sound file says, and say how fast that was",
        description="Transcribes FILE. The latency is from the call to the text, the model being "
        "loaded and warm.\nThe real-time factor (RTF) is latency / audio time.",
        epilog="examples:\n"
        "  workbench transcribe question.wav                    # whisper-nano, shipped\n"
        "  workbench transcribe question.wav --compute-type int8 --window trimmed --json\n"
        "  workbench transcribe question.wav --partials 0.5     # as if it were still spoken\n"
        "  workbench transcribe talk.flac --engine large-v3-turbo --batch-size 8\n",
    )
    command.add_argument("file", metavar="FILE", type=Path, help="sound file")
    command.add_argument(
        "--engine",
        default=NANO,
        help="whisper-nano (shipped), a size (tiny ... large-v3-turbo, from the hub), a folder, or "
        "a hub id (default: %(default)s)",
    )
    command.add_argument(
        "--implementation",
        choices=IMPLEMENTATIONS,
        default=IMPLEMENTATIONS[0],
        help="static is PyTorch with our static cache (default: %(default)s)",
    )
    command.add_argument("--compute-type", help="float32, float16, int8, ... (default: the files')")
    command.add_argument(
        "--window",
        choices=("full", "trimmed"),
        help="encode 30 s, or the audio's own length (default: full)",
    )
    command.add_argument("--beam-size", type=int, help="hypotheses kept (default: 5)")
    command.add_argument("--batch-size", type=int, help="parts of a long recording at a time")
    command.add_argument("--vad", action="store_true", help="leave out what isn't speech")
    command.add_argument("--words", action="store_true", help="the time of each word, too")
    command.add_argument("--language", default="en", help="auto detects it (default: en)")
    command.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")
    command.add_argument("--threads", type=int, help="CPU threads")
    command.add_argument(
        "--partials",
        type=float,
        metavar="SECONDS",
        help="feed the file in steps of this length and print what is known after each",
    )
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Transcribes; returns the summary and the exit code."""
    audio = Audio.read(options.file)
    if not len(audio):
        raise InputError(f"{options.file} holds no sound", "check the file")
    chosen = {
        "beam_size": options.beam_size,
        "batch_size": options.batch_size,
        "vad": options.vad or None,
    }
    recognizer = load_recognizer(
        options.engine,
        implementation=options.implementation,
        compute_type=options.compute_type,
        device=options.device,
        window=options.window,
        language=None if options.language == "auto" else options.language,
        threads=options.threads,
        **{name: value for name, value in chosen.items() if value is not None},
    )
    warm_up_s = recognizer.warm_up()
    print(f"{recognizer.name} ready after a warm-up of {warm_up_s:.1f} s", file=sys.stderr)
    summary: dict[str, Any] = {"warm_up_s": warm_up_s}
    if options.partials is not None:
        summary["partials"] = _partials(recognizer, audio, options)
    transcript = recognizer.transcribe(audio, words=options.words)
    if not options.json:
        _describe(transcript)
    return _summary(transcript) | summary, 0


def _partials(
    recognizer: Recognizer, audio: Audio, options: argparse.Namespace
) -> list[dict[str, Any]]:
    found = []
    pieces = _pieces(audio, options.partials)
    for partial in partials(recognizer, pieces, step_s=options.partials):
        found.append(asdict(partial))
        if not options.json:
            _show(partial)
    return found


def _pieces(audio: Audio, step_s: float) -> Iterator[Audio]:
    if step_s <= 0:
        raise InputError(f"steps of {step_s} s", "use a positive number of seconds")
    size = max(1, round(step_s * audio.rate_hz))
    for first in range(0, len(audio), size):
        yield Audio(audio.samples[first : first + size], audio.rate_hz)


def _show(partial: Partial) -> None:
    guess = f" [{partial.tentative}]" if partial.tentative else ""
    print(f"{partial.audio_s:6.2f} s  {partial.confirmed}{guess}  ({partial.latency_ms:.0f} ms)")


def _summary(transcript: Transcript) -> dict[str, Any]:
    summary = asdict(transcript)
    # transformers' generate tells no probabilities, and JSON knows no NaN.
    for segment in summary["segments"]:
        for name in ("average_logprob", "no_speech_probability"):
            if segment[name] != segment[name]:
                segment[name] = None
    return summary | {"rtf": transcript.rtf}


def _describe(transcript: Transcript) -> None:
    print(transcript.text)
    for word in transcript.words:
        print(f"  {word.start_s:6.2f} to {word.end_s:6.2f} s  {word.text}")
    print(
        f"{transcript.duration_s:.2f} s of audio in {transcript.latency_ms:.0f} ms, real-time "
        f"factor {transcript.rtf:.2f} ({transcript.model} {transcript.weights}, "
        f"{transcript.implementation}, {transcript.compute_type}, window {transcript.window_s:g} s)"
    )
