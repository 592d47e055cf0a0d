"""``workbench turns``: where a recording has speech, and when each detector would end the turn."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from workbench.audio import Audio
from workbench.engines.turns.detectors import (
    DEFAULT_POLICY,
    SILENCE_S,
    Policy,
    SemanticTurnDetector,
    SilenceTurnDetector,
    TurnDetector,
    TurnEnd,
)
from workbench.engines.turns.timeline import TAIL_S, Timeline, Words, heard_words, timeline
from workbench.engines.turns.vad import DETECTORS, load_vad, probabilities
from workbench.errors import InputError


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "turns",
        help="find the speech in a sound file, and when each detector ends the turn",
        description="Hears FILE as if it were live. A fixed silence ends the turn always after the "
        "same wait; with --judge a\nlanguage model reads what was said so far and waits less where "
        "the sentence is over, longer where it isn't.",
        epilog="examples:\n"
        "  workbench turns question.wav                          # Silero VAD, 0.7 s of silence\n"
        "  workbench turns question.wav --vad webrtc --silence 0.5 --json\n"
        "  workbench turns question.wav --judge chat-nano --threshold 0.3\n",
    )
    command.add_argument("file", metavar="FILE", type=Path, help="sound file")
    command.add_argument(
        "--vad", choices=DETECTORS, default=DETECTORS[0], help="(default: %(default)s)"
    )
    command.add_argument(
        "--silence", type=float, default=SILENCE_S, metavar="SECONDS",
        help="that the fixed wait lasts (default: %(default)s)",
    )  # fmt: skip
    command.add_argument("--judge", help="chat model that reads along, such as chat-nano")
    command.add_argument(
        "--engine", default="whisper-nano", help="recognizer for --judge (default: %(default)s)"
    )
    command.add_argument(
        "--threshold", type=float, default=DEFAULT_POLICY.threshold,
        help="probability from which the judge's short wait holds (default: %(default)s)",
    )  # fmt: skip
    command.add_argument(
        "--action-delay", type=float, default=DEFAULT_POLICY.action_delay_s, metavar="SECONDS",
        help="the judge's short wait (default: %(default)s)",
    )  # fmt: skip
    command.add_argument(
        "--timeout", type=float, default=DEFAULT_POLICY.timeout_s, metavar="SECONDS",
        help="the judge's long wait (default: %(default)s)",
    )  # fmt: skip
    command.add_argument(
        "--tail", type=float, default=TAIL_S, metavar="SECONDS",
        help="of silence after the file (default: %(default)s)",
    )  # fmt: skip
    command.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Listens; returns the summary."""
    audio = Audio.read(options.file)
    if not len(audio):
        raise InputError(f"{options.file} holds no sound", "check the file")
    vad = load_vad(options.vad)
    detectors: dict[str, TurnDetector] = {"silence": SilenceTurnDetector(options.silence)}
    words = None
    if options.judge is not None:
        detectors["semantic"] = _semantic(options)
        words = _words(audio, options)
    found = timeline(audio, vad, detectors, words, tail_s=options.tail)
    _, times_ms = probabilities(vad, audio)
    summary = _summary(found) | {"frame_ms": median(times_ms) if times_ms else None}
    if not options.json:
        _describe(found)
    return summary, 0


def _semantic(options: argparse.Namespace) -> TurnDetector:
    from workbench.engines.chat.load import load_judge

    judge = load_judge(options.judge, threads=options.threads)
    print(f"{judge.name} reads along", file=sys.stderr)
    policy = Policy(options.threshold, options.action_delay, options.timeout)
    return SemanticTurnDetector(judge, policy)


def _words(audio: Audio, options: argparse.Namespace) -> Words:
    from workbench.engines.asr.load import load_recognizer

    recognizer = load_recognizer(options.engine, threads=options.threads, window="trimmed")
    print(f"{recognizer.name} writes down", file=sys.stderr)
    return heard_words(audio, lambda stretch: recognizer.transcribe(stretch).text)


def _summary(found: Timeline) -> dict[str, Any]:
    return {
        "duration_s": found.duration_s,
        "vad": found.vad,
        "frame_s": found.frame_s,
        "segments": [asdict(part) for part in found.spoken],
        "turn_ends": {name: [_told(end) for end in ends] for name, ends in found.ends.items()},
    }


def _told(end: TurnEnd) -> dict[str, Any]:
    return {
        "at_s": end.at_s,
        "speech_end_s": end.speech_end_s,
        "wait_s": end.wait.silence_s,
        "probability": end.wait.probability,
        "judge_ms": end.wait.latency_ms,
        "transcript": end.transcript,
    }


def _describe(found: Timeline) -> None:
    for part in found.spoken:
        print(f"  speech {part.start_s:7.2f} to {part.end_s:7.2f} s")
    for name, ends in found.ends.items():
        for end in ends:
            judged = ""
            if end.wait.probability is not None:
                judged = f', P(over) {end.wait.probability:.2f} after "{end.transcript}"'
            print(
                f"  {name}: the turn is over at {end.at_s:.2f} s, {end.wait.silence_s:.2f} s after "
                f"the speech{judged}"
            )
        if not ends:
            print(f"  {name}: no turn ended")
