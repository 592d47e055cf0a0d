"""``workbench converse``: ask by a sound file or the microphone, and get an answer in speech."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

_PRESETS = ("nano", "fern", "local", "echo")


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "converse",
        help="ask in speech and be answered in speech, with the time line of every stage",
        description="Feeds FILE at real speed to voice activity, turn detection, recognizer, chat "
        "model and synthesizer, and\nsays when the answer's first sound came after the end of "
        "speech. serial waits for each stage; overlapped prepares\nthe answer while the turn may "
        "still go on.",
        epilog="examples:\n"
        "  workbench converse question.wav --out answer.wav\n"
        "  workbench converse question.wav --mode serial --json\n"
        "  workbench converse question.wav --preset echo        # no model that thinks\n"
        "  workbench converse question.wav --silence 0.7 --trace trace.json\n"
        "  workbench converse --microphone                    # with headphones; Ctrl-C ends\n"
        "  workbench converse --compare 20 --out talks        # serial against overlapped\n"
        "  workbench converse --compare 20 --out talks        # cut off: the same goes on\n"
        "  workbench converse --soak 30                       # 30 simulated minutes with faults\n"
        "  workbench converse --soak 5 --real                 # as long as that, on real engines\n",
    )
    add = command.add_argument
    add("file", metavar="FILE", type=Path, nargs="?", help="sound file with what the user says")
    add("--mode", choices=("serial", "overlapped"), default="overlapped",
        help="(default: %(default)s)")  # fmt: skip
    add("--preset", choices=_PRESETS, default=_PRESETS[0],
        help="engines that belong together: the shipped ones, FERN's, FERN's all local, or none "
        "that thinks (default: %(default)s)")  # fmt: skip
    add("--recognizer", help="instead of the preset's: as for `transcribe`, or pocketsphinx")
    add("--chat", help="instead of the preset's: a model, a folder, a Gemini, or echo")
    add("--engine", help="instead of the preset's synthesizer: as for `speak`")
    add("--voice", type=int, help="speaker id of the answer (default: 0)")
    add("--vad", choices=("silero", "webrtc"), help="instead of the preset's")
    add("--turn", choices=("silence", "semantic"),
        help="what ends a turn: a fixed silence, or the chat model's opinion")  # fmt: skip
    add("--silence", type=float, metavar="S",
        help="seconds of silence that end a turn, whatever was said (FERN: 0.7)")  # fmt: skip
    add("--placement", choices=("threads", "workers"),
        help="engines in threads, or each in a process of its own")  # fmt: skip
    add("--threads", type=int, help="CPU threads of each engine (default: half of the cores)")
    add("--seed", type=int, default=0, help="of the answer's voice, and of --soak")
    add("--out", type=Path,
        help="write both sides and the waits into this file (--compare: the study into this "
        "folder; default: outputs/converse-<time>)")  # fmt: skip
    add("--trace", type=Path, help="write all events into this JSON file")
    add("--microphone", action="store_true", help="listen and speak through sounddevice")
    add("--compare", type=int, metavar="TRIALS",
        help="compare serial with overlapped, in processes; FILE isn't needed")  # fmt: skip
    add("--soak", type=float, metavar="MINUTES",
        help="simulate a conversation with faults in every stage")  # fmt: skip
    add(
        "--real",
        action="store_true",
        help="--soak in real time on the preset's engines: memory, threads, descriptors, processes",
    )
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Converses; returns the summary and the exit code."""
    from workbench.errors import InputError

    chosen = [
        name
        for name, given in (
            ("FILE", options.file is not None),
            ("--microphone", options.microphone),
            ("--compare", options.compare is not None),
            ("--soak", options.soak is not None),
        )
        if given
    ]
    if len(chosen) != 1:
        raise InputError(
            f"{' and '.join(chosen) or 'nothing'} to talk to",
            "pass a sound file, or one of --microphone, --compare and --soak",
        )
    if options.real and options.soak is None:
        raise InputError("--real without --soak", "say how long: --soak MINUTES --real")
    if options.soak is not None:
        return _endure(options) if options.real else _soak(options)
    if options.compare is not None:
        return _compare(options)
    return _microphone(options) if options.microphone else _file(options)


def _file(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    from workbench.audio import Audio
    from workbench.cli.speak import require_writable_sound_file
    from workbench.conversation.placement import load_stages
    from workbench.conversation.talk import talk
    from workbench.errors import InputError

    question = Audio.read(options.file)
    if not len(question):
        raise InputError(f"{options.file} holds no sound", "check the file")
    if options.out is not None:
        require_writable_sound_file(options.out)
    with load_stages(_engines(options), threads=options.threads) as stages:
        print(f"all stages warm after {stages.warm_up_s:.1f} s", file=sys.stderr)
        made = talk(stages, question, _settings(options))
    summary = {**made.to_dict(), "stages": stages.names, "warm_up_s": stages.warm_up_s}
    if options.out is not None:
        made.sound.write(options.out)
        summary["out"] = str(options.out)
    if options.trace is not None:
        made.trace.write(options.trace)
        summary["trace"] = str(options.trace)
    if not options.json:
        _describe(made)
    return summary, 0 if made.first is not None else 1


def _describe(made: Any) -> None:
    from workbench.conversation.waterfall import as_text

    for turn in made.turns:
        print(f"turn {turn.turn}, {turn.outcome}")
        print(f"  heard     {turn.heard or '(nothing)'}")
        print(f"  answered  {turn.answered or '(nothing)'}")
        if turn.first_audio_ms is not None:
            print(f"  first audio {turn.first_audio_ms:,.0f} ms after the end of speech")
        print(as_text(made.spans(turn.turn)))
    if not made.turns:
        print("no speech was found")
    for failure in made.failures:
        print(f"{failure.stage} failed: {failure.error}", file=sys.stderr)


def _microphone(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    from workbench.conversation.clock import run
    from workbench.conversation.figures import turn_figures
    from workbench.conversation.placement import load_stages
    from workbench.conversation.session import Session
    from workbench.conversation.sinks import Loudspeaker, opened
    from workbench.conversation.sources import Microphone
    from workbench.conversation.trace import Trace

    opened("InputStream", Microphone().rate_hz).close()  # before anything is loaded
    trace = Trace()

    async def work() -> None:
        session = Session(stages, _settings(options), on_event=_told(trace))
        await session.run(Microphone(), Loudspeaker(stages.synthesizer.rate_hz))

    with load_stages(_engines(options), threads=options.threads) as stages:
        print("listening; Ctrl-C ends", file=sys.stderr)
        try:
            run(work)
        except KeyboardInterrupt:
            print("", file=sys.stderr)
    turns = [turn.to_dict() for turn in turn_figures(trace)]
    if options.trace is not None:
        trace.write(options.trace)
    return {"mode": options.mode, "turns": turns, "events": trace.to_list()}, 0


def _told(trace: Any) -> Any:
    """Keeps every event, and prints what a person at the terminal wants to know."""
    from workbench.conversation import events as e

    def told(event: e.Event) -> None:
        trace.append(event)
        if isinstance(event, e.StageEnded) and event.text and event.outcome == "done":
            who = {"recognizer": "you", "chat": "answer"}.get(event.stage)
            if who:
                print(f"{who:>7}: {event.text}", file=sys.stderr)
        elif isinstance(event, e.StageFailed):
            print(f"{event.stage} failed: {event.error}", file=sys.stderr)

    return told


def _compare(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    from workbench.conversation.arm import compare_in_processes
    from workbench.conversation.questions import QUESTIONS
    from workbench.measure.plan import Plan
    from workbench.measure.record import outputs_dir
    from workbench.measure.trials import StudyInterrupted

    out = options.out or outputs_dir() / time.strftime("converse-%Y%m%d-%H%M%S")
    print(f"each round is kept in {out}", file=sys.stderr)
    try:
        study = compare_in_processes(
            _engines(options),
            QUESTIONS,
            plan=Plan(trials=options.compare, seed=options.seed),
            progress=lambda words: print(words, file=sys.stderr, flush=True),
            folder=out,
        )
    except StudyInterrupted as stop:
        print(f"{stop}; the same command with --out {out} goes on", file=sys.stderr)
        return _compared(stop.study, out, options.json), 130
    return _compared(study, out, options.json), 1 if study.failed else 0


def _compared(study: Any, out: Path, quiet: bool) -> dict[str, Any]:
    from workbench.conversation.arm import METRIC
    from workbench.conversation.targets import percentile_interval
    from workbench.hardware.fingerprint import label

    summary: dict[str, Any] = {
        "verdict": study.verdict,
        "stopped": study.stopped,
        "rounds": len(study.baseline.rounds),
        "machine": label(dict(study.environment_before)),
        "out": str(out),
        "arms": {},
    }
    for name, result in study.results.items():
        values = result.of(METRIC)
        if len(values) >= 2:
            spread = {f"p{point}": percentile_interval(values, point) for point in (50, 95)}
            summary["arms"][name] = {key: vars(one) for key, one in spread.items()}
            if not quiet:
                print(f"{name}: first audio p50 {spread['p50']} ms, p95 {spread['p95']} ms")
    if not quiet:
        print(f"{study.verdict}\n{out}")
    return summary


def _soak(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    from workbench.conversation.soak import soak

    found = soak(
        options.soak,
        seed=options.seed,
        mode=options.mode,
        progress=lambda minutes: print(f"{minutes:.0f} minutes", file=sys.stderr, flush=True),
    )
    if not options.json:
        print(found.sentence)
    return found.to_dict(), 1 if found.problems else 0


def _endure(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    from workbench.conversation.arm import said
    from workbench.conversation.endurance import endure
    from workbench.conversation.placement import load_stages
    from workbench.conversation.questions import QUESTIONS

    with load_stages(_engines(options), threads=options.threads) as stages:
        print(f"all stages warm after {stages.warm_up_s:.1f} s", file=sys.stderr)
        found = endure(
            stages,
            [said(stages.synthesizer, text) for text in QUESTIONS],
            options.soak,
            seed=options.seed,
            mode=options.mode,
            progress=lambda minutes: print(f"{minutes:.0f} minutes", file=sys.stderr, flush=True),
        )
    if not options.json:
        print(found.sentence)
    return found.to_dict(), 1 if found.problems else 0


def _engines(options: argparse.Namespace) -> Any:
    """The preset's engines, with what was said outright in their place."""
    from workbench.conversation.presets import preset

    return preset(
        options.preset,
        recognizer=options.recognizer,
        chat=options.chat,
        synthesizer=options.engine,
        voice=options.voice,
        vad=options.vad,
        turn=options.turn or ("silence" if options.silence is not None else None),
        silence_s=options.silence,
        placement=options.placement,
        seed=options.seed,
    )


def _settings(options: argparse.Namespace) -> Any:
    from workbench.conversation.settings import Settings

    return Settings(mode=options.mode)
