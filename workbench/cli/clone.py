"""``workbench clone``: a text in the voice of a recording, marked as synthetic."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from workbench.audio import Audio
from workbench.cli.speak import require_writable_sound_file
from workbench.cloning.cache import CodeCache
from workbench.cloning.mark import provenance, write_marked
from workbench.cloning.references import LONGEST_S, NOT_STATED, PreparedVoice, prepare
from workbench.engines.asr.load import load_recognizer
from workbench.engines.load import load
from workbench.engines.speech import Speech
from workbench.errors import InputError
from workbench.files import write_json
from workbench.measure.statistics import Interval
from workbench.quality.naturalness import NAME as NATURALNESS
from workbench.quality.naturalness import Naturalness, load_naturalness
from workbench.quality.speaker import DEFAULT, load_speaker_encoder
from workbench.studies.cloning.clones import CloningResult
from workbench.studies.cloning.study import clone_trials
from workbench.studies.cloning.targets import Target, known_targets, own_target
from workbench.studies.sound.listening import held_out
from workbench.text import checked

_OTHERS = 3  # of the engine's own voices, to compare with


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "clone",
        help="speak a text in the voice of a recording",
        description="Judges the recordings, trims them to speech, transcribes what has no "
        "transcript, encodes them once and\nspeaks TEXT after them. Clone only a voice whose "
        "speaker agreed: the note given with --consent and the\nrecordings' hashes are kept in "
        "the clip and in the record beside it, and the clip says that it is synthetic.",
        epilog="examples:\n"
        "  workbench clone --reference me.wav --text 'good morning' --consent 'my own voice'\n"
        "  workbench clone --reference a.wav --reference-text 'how are you' --text 'hello' --json\n"
        "  workbench clone --reference a.wav --reference b.wav --text 'hello' --engine csm-1b\n",
    )
    command.add_argument(
        "--reference", type=Path, action="append", required=True, help="sound file; repeatable"
    )
    command.add_argument(
        "--reference-text",
        action="append",
        help="what is said in each --reference, in their order (default: the recognizer's)",
    )
    command.add_argument("--text", required=True, help="what to say")
    command.add_argument(
        "--out", type=Path, default=Path("outputs/clone.wav"), help="sound file (%(default)s)"
    )
    command.add_argument("--consent", help="note that the speaker agreed; kept in the record")
    command.add_argument(
        "--engine", default="csm-nano", help="csm-nano, csm-1b, a folder, or a hub id (%(default)s)"
    )
    command.add_argument(
        "--voice", type=int, default=0, help="speaker id that the model reads with it (default: 0)"
    )
    command.add_argument("--seed", type=int, default=0, help="the same seed gives the same speech")
    command.add_argument("--max-frames", type=int, help="frames of 80 ms at most")
    command.add_argument("--recognizer", default="whisper-nano", help="transcribes (%(default)s)")
    command.add_argument(
        "--trust-transcript",
        action="store_true",
        help="don't compare --reference-text with what the recognizer hears",
    )
    command.add_argument(
        "--trials",
        type=int,
        default=4,
        help="clones of other sentences for the similarity's interval; 0: no similarity "
        "(default: %(default)s)",
    )
    command.add_argument(
        "--speaker-encoder", default=DEFAULT, help="what judges similarity (%(default)s)"
    )
    command.add_argument(
        "--naturalness",
        action="store_true",
        help="how DNSMOS would rate clone and reference (needs 'workbench[naturalness]')",
    )
    command.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Clones; returns the summary and the exit code."""
    text = checked(options.text)
    out: Path = options.out
    require_writable_sound_file(out)
    if options.trials < 0:
        raise InputError(f"{options.trials} trials", "use 0 for no similarity, or some")
    judge = load_naturalness() if options.naturalness else None
    voices = _prepared(options)
    for voice in voices:
        for finding in voice.assessment.findings:
            print(f"{voice.name} is {voice.assessment.verdict}: {finding}", file=sys.stderr)
        print(f"cloning the {voice.statement}", file=sys.stderr)
    if any(voice.consent == NOT_STATED for voice in voices):
        print("clone only a voice whose speaker agreed: note it with --consent", file=sys.stderr)
    engine = load(options.engine, device=options.device)
    codes = CodeCache()
    context = [codes.encoded(engine, one) for voice in voices for one in voice.references]
    stream = engine.stream(
        text,
        voice=options.voice,
        context=context,
        seed=options.seed,
        max_frames=options.max_frames,
    )
    for _ in stream:
        pass
    speech = stream.speech
    if not len(speech):
        raise InputError(
            "the model ended before its first frame, so there is no sound", "try another --seed"
        )
    mark = provenance(speech, engine.name, voices)
    write_marked(out, speech, mark)
    found = _similarity(options, engine, voices, codes) if options.trials else None
    rated = _naturalness(judge, speech, voices) if judge else None
    summary = _summary(speech, out, mark, voices, found) | {"naturalness": rated}
    record = out.with_name(f"{out.stem}.clone.json")
    write_json(record, summary)
    if not options.json:
        _describe(speech, found, out, record)
        for whose, opinion in (rated or {}).items():
            scores = ", ".join(f"{what} {value:.2f}" for what, value in opinion.items())
            print(f"{NATURALNESS} of the {whose}, 1 to 5: {scores}")
    return summary, 0


def _prepared(options: argparse.Namespace) -> list[PreparedVoice]:
    texts = options.reference_text or [None] * len(options.reference)
    if len(texts) != len(options.reference):
        raise InputError(
            f"{len(options.reference)} --reference and {len(texts)} --reference-text",
            "give one text for each, in the same order, or none",
        )
    ears = cache(lambda: load_recognizer(options.recognizer, device=options.device))
    return [
        prepare(
            path,
            said,
            voice=options.voice,
            consent=options.consent,
            recognizer=ears,
            check_transcript=not options.trust_transcript,
            longest_s=LONGEST_S / len(options.reference),
        )
        for path, said in zip(options.reference, texts, strict=True)
    ]


def _naturalness(
    judge: Naturalness, speech: Speech, voices: list[PreparedVoice]
) -> dict[str, dict[str, float]]:
    """Opinions of the clone and of its references, to hold it to."""
    heard = {
        "clone": Audio(speech.samples, speech.rate_hz),
        "reference": Audio.concatenate([voice.audio for voice in voices]),
    }
    return {whose: asdict(judge.rate(audio)) for whose, audio in heard.items()}


def _similarity(
    options: argparse.Namespace, engine: Any, voices: list[PreparedVoice], codes: CodeCache
) -> CloningResult:
    """The clone against its reference and against other voices of the engine."""
    encoder = load_speaker_encoder(options.speaker_encoder)
    texts = held_out(max(options.trials, 3), seed=options.seed)
    own = [own_target(voice, options.voice) for voice in voices]
    mine = Target(
        "reference",
        tuple(prompt for one in own for prompt in one.prompts),
        tuple(clip for one in own for clip in one.clips),
        options.voice,
    )
    others = known_targets(engine, texts[:3], count=_OTHERS)
    return clone_trials(
        engine,
        encoder,
        [mine, *others],
        texts,
        trials=options.trials,
        seed=options.seed,
        cloned=[mine.name],
        prompts=len(mine.prompts),
        cache=codes,
    )


def _summary(
    speech: Speech,
    out: Path,
    mark: dict[str, Any],
    voices: list[PreparedVoice],
    found: CloningResult | None,
) -> dict[str, Any]:
    return {
        **mark,
        "out": out.name,
        "audio_s": speech.duration_s,
        "ttfa_ms": speech.ttfa_ms,
        "rtf": speech.rtf,
        "ended": speech.ended,
        "voice": speech.voice,
        "references": [voice.about() for voice in voices],
        "similarity": None if found is None else similarity_summary(found),
    }


def similarity_summary(found: CloningResult) -> dict[str, Any]:
    """Similarities with their intervals, and how often the reference was the nearest voice."""
    share = found.share(known=False)
    return {
        "to_reference": _interval(found.own_similarity(known=False)),
        "to_next_other_voice": _interval(found.other_similarity(known=False)),
        "nearest_is_reference": _interval(share),
        "mean_by_voice": found.matrix.get("reference", {}),
        "encoder": found.encoder,
    }


def _interval(interval: Interval | None) -> dict[str, Any] | None:
    if interval is None:
        return None
    return {
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
        "n": interval.n,
    }


def _describe(speech: Speech, found: CloningResult | None, out: Path, record: Path) -> None:
    print(f"{out}: {speech.duration_s:.2f} s, marked as synthetic; record: {record}")
    print(f"first audio after {speech.ttfa_ms:.0f} ms, real-time factor {speech.rtf:.2f}")
    if found is None:
        return
    if (own := found.own_similarity(known=False)) is not None:
        print(f"similarity to the reference {own}")
    if (other := found.other_similarity(known=False)) is not None:
        print(f"similarity to the next other voice {other}")
    share = found.share(known=False)
    if share is not None:
        print(f"nearest to the reference of all voices: {share}")
    if speech.weights == "random":
        print("random weights: this is noise, good for timing only")
