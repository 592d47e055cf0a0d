"""``workbench speak``: a text to a sound file, with its latency."""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from workbench.audio import Audio
from workbench.cli.own_settings import add_set, parsed
from workbench.engines.load import load
from workbench.engines.speech import Reference, Speech
from workbench.errors import InputError, OutputError
from workbench.text import checked

_DEFAULT_ENGINE = "csm-nano"
_DEFAULT_OUT = Path("outputs/speech.wav")


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "speak",
        help="speak a text into a sound file, streamed, and say how fast it was",
        description="Speaks TEXT frame by frame and writes the sound. Time to first audio (TTFA) "
        "is from the request\nto the first PCM on the host; the real-time factor (RTF) is "
        "generation time / audio time.",
        epilog="examples:\n"
        '  workbench speak "good morning" --voice 1 --out a.wav\n'
        '  workbench speak "good morning" --implementation transformers   # the baseline\n'
        '  workbench speak "good morning" --optimizations frame_step,true_streaming,bf16\n'
        '  workbench speak "good morning" --engine csm-1b --weights random   # timing only\n'
        '  workbench speak "what a surprise!" --mode auto      # Piper, Chatterbox, or csm-nano\n'
        '  workbench speak "good morning" --engine piper:voice.onnx --set length_scale=1.2\n'
        '  echo "good morning" | workbench speak -\n',
    )
    command.add_argument("text", metavar="TEXT", help="what to say; - reads standard input")
    command.add_argument(
        "--mode",
        choices=("fast", "cinematic", "auto"),
        help="by purpose instead of --engine: fast is Piper, cinematic Chatterbox (--reference is "
        "the voice it clones), auto chooses and says why",
    )
    command.add_argument(
        "--engine",
        help="csm-nano (shipped), csm-1b (from the hub), a folder, a hub id, or a guest such as "
        f"piper:voice.onnx (default: {_DEFAULT_ENGINE})",
    )
    add_set(command)
    command.add_argument("--voice", type=int, default=0, help="speaker id (default: 0)")
    command.add_argument(
        "--out", type=Path, default=_DEFAULT_OUT, help="sound file to write (default: %(default)s)"
    )
    command.add_argument(
        "--implementation",
        choices=("frame", "transformers"),
        help="our frame step (default), or transformers' generate, which can't stream",
    )
    command.add_argument(
        "--optimizations",
        help="exactly these switches, separated by commas (none: transformers' generate), or one "
        "preset (default: the preset default); `workbench optimizations` lists them",
    )
    command.add_argument(
        "--weights",
        choices=("auto", "random"),
        default="auto",
        help="random: the full architecture without a download, for timing; it speaks noise",
    )
    command.add_argument("--seed", type=int, help="the same seed gives the same speech")
    command.add_argument("--temperature", type=float, help="0 is greedy (default: the model's)")
    command.add_argument("--max-frames", type=int, help="frames of 80 ms at most")
    command.add_argument(
        "--reference",
        "--audio-prompt",
        type=Path,
        help="sound file to go on from; with --mode cinematic the voice to clone",
    )
    command.add_argument("--reference-text", help="what is said in --reference")
    command.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")
    command.add_argument("--dtype", help="float32, bfloat16 or float16 (default: by the device)")
    command.add_argument(
        "--safe-modes",
        action="store_true",
        default=None,
        help="where memory runs out, use 16-bit weights, then the CPU, and say so "
        "(default: WORKBENCH_SAFE_MODES)",
    )
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Speaks; returns the summary and the exit code."""
    text = checked(sys.stdin.read() if options.text == "-" else options.text)
    if options.mode is not None:
        return _by_mode(text, options)
    context = _context(options)
    own = parsed(options.set)
    out: Path = options.out
    require_writable_sound_file(out)
    started = time.perf_counter()
    engine = load(
        options.engine or _DEFAULT_ENGINE,
        weights=options.weights,
        implementation=options.implementation,
        device=options.device,
        dtype=options.dtype,
        optimizations=_optimizations(options.optimizations),
        safe_modes=options.safe_modes,
        **own,
    )
    for mode in engine.safe_modes:
        print(f"safe mode: {mode}", file=sys.stderr)
    for name, reason in engine.left_out.items():
        print(f"left out {name}: {reason}", file=sys.stderr)
    load_s = time.perf_counter() - started
    warm_up_s = engine.warm_up()
    ready_s = load_s + warm_up_s
    print(f"{engine.name} ready on {engine.device.type} after {ready_s:.1f} s", file=sys.stderr)
    stream = engine.stream(
        text,
        voice=options.voice,
        context=context,
        seed=options.seed,
        temperature=options.temperature,
        max_frames=options.max_frames,
    )
    for _ in stream:
        pass
    speech = stream.speech
    _require_sound(speech)
    speech.write(out)
    summary = {**_summary(speech), "engine": engine.name, "device": engine.device.type}
    summary["threads"] = engine.threads
    summary |= {"optimizations": list(engine.optimizations), "left_out": engine.left_out}
    summary |= {"load_s": load_s, "warm_up_s": warm_up_s, "out": str(out)}
    if not options.json:
        _describe(speech, engine.voices[speech.voice], out)
    return summary, 0


def _by_mode(text: str, options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """``workbench.speak``: the engine follows from the mode."""
    import warnings

    from workbench.engines.speak import FellBack, speak

    mine = ("engine", "implementation", "optimizations", "temperature", "max_frames", "device")
    given = [name for name in (*mine, "dtype", "set") if getattr(options, name) is not None]
    given += ["weights"] * (options.weights != "auto")
    if given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise InputError(f"--mode beside {names}", "leave out --mode, which chooses the engine")
    require_writable_sound_file(options.out)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FellBack)  # said below, in the command line's own way
        spoken = speak(
            text,
            options.mode,
            options.reference,
            prompt_text=options.reference_text or "",
            voice=options.voice,
            seed=options.seed,
        )
    for words in spoken.fallbacks:
        print(f"fell back: {words}", file=sys.stderr)
    _require_sound(spoken.speech)
    spoken.speech.write(options.out)
    summary = {**_summary(spoken.speech), "engine": spoken.engine, "out": str(options.out)}
    summary |= {"mode": spoken.mode, "asked": spoken.asked}
    summary |= {"reasons": list(spoken.reasons), "fallbacks": list(spoken.fallbacks)}
    if not options.json:
        print(f"{spoken.engine}, {spoken.mode}: {'; '.join(spoken.reasons)}")
        _describe(spoken.speech, spoken.voice_name, options.out)
    return summary, 0


def _require_sound(speech: Speech) -> None:
    if not len(speech):
        raise InputError(
            "the model ended before its first frame, so there is no sound",
            "try another --seed, --voice or --temperature",
        )


def _optimizations(text: str | None) -> list[str] | str | None:
    """A preset's name, or a list of switches; ``none`` is the empty list."""
    from workbench.optimizations import PRESETS

    if text is None or text in PRESETS:
        return text
    return [] if text == "none" else [name for name in text.split(",") if name.strip()]


def require_writable_sound_file(path: Path) -> None:
    """Refuses, before any work is done, a sound file that could not be written at the end."""
    import soundfile

    if path.suffix[1:].upper() not in soundfile.available_formats():
        raise InputError(
            f"{path.name!r} has no sound file's suffix", "use .wav, .flac, .ogg or .mp3"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as problem:
        raise OutputError(
            f"can't write into {path.parent}: {problem.strerror or problem}",
            "choose a folder you may write to with --out",
        ) from problem
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"{path} is write-protected", "choose another file with --out")


def _context(options: argparse.Namespace) -> list[Reference]:
    from workbench.engines.speak import CLONES  # by the sound alone

    if options.reference is None:
        if options.reference_text is not None:
            raise InputError("--reference-text without --reference", "name its sound file too")
        return []
    if options.reference_text is None and str(options.engine).partition(":")[0] not in CLONES:
        raise InputError(
            "--reference without --reference-text", "say what is spoken in the sound file"
        )
    words = options.reference_text or ""
    return [Reference(Audio.read(options.reference), words, options.voice)]


def _summary(speech: Speech) -> dict[str, Any]:
    onset = speech.audible_onset_s
    return {
        "ttfa_ms": speech.ttfa_ms,
        "rtf": speech.rtf,
        "audio_s": speech.duration_s,
        "frames": speech.frames,
        "ended": speech.ended,
        "implementation": speech.implementation,
        "weights": speech.weights,
        "voice": speech.voice,
        "seed": speech.seed,
        "safe_modes": list(speech.safe_modes),
        "peak_dbfs": speech.peak_dbfs if math.isfinite(speech.peak_dbfs) else None,
        "audible_onset_s": onset,
    }


def _describe(speech: Speech, voice: str, out: Path) -> None:
    ends = {"eos": "ended by itself", "cap": "cut at its frame limit", "loop": "stopped in a loop"}
    end = ends[speech.ended]
    print(f"{out}: {speech.duration_s:.2f} s by voice {speech.voice} ({voice}), {end}")
    print(
        f"first audio after {speech.ttfa_ms:.0f} ms, real-time factor {speech.rtf:.2f} "
        f"({speech.implementation}, weights {speech.weights}, seed {speech.seed})"
    )
    if speech.weights == "random":
        print("random weights: this is noise, good for timing only")
