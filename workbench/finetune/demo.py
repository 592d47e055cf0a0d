"""Recordings to try fine-tuning with, where one has none: voices that the nano models don't know.

By default csm-nano's own speech, played faster or slower: pitch, formants and tempo of another
speaker, and nothing to install. flite and espeak-ng speak where they are installed.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.finetune.nano.domain import held_out_sentences, training_sentences
from workbench.finetune.recordings import Recording, read_recordings, write_recordings
from workbench.quality.recognizer import SphinxRecognizer
from workbench.quality.wer import normalized_words

Speak = Callable[[str], Audio]
_SEED = 401  # of the sentences, which are others than csm-nano's own training began with
_TEST_EVERY = 5
_TRIES = 4  # sentences that may be drawn for one that is heard right


def demo_recordings(
    folder: Path | str,
    sentences: int,
    *,
    source: str = "csm-nano:0",
    pitch: float = 1.0,
    noise_db: float | None = None,
    held_out: bool = False,
    heard_right: bool = True,
    seed: int = 0,
) -> list[Recording]:
    """Writes ``sentences`` recordings of one made-up speaker into ``folder``.

    ``source`` is ``csm-nano:VOICE`` (or another engine), ``flite:VOICE`` or ``espeak-ng:VOICE``.
    ``pitch`` plays them that many times as fast. ``noise_db`` adds white noise at this ratio of
    signal to noise. ``held_out`` takes sentences that no nano model was trained on.
    ``heard_right`` leaves out what the recognizer of the domain hears as other words, so that
    the texts are true.

    Raises InputError for an unknown source, or one that isn't installed.
    """
    speak = _speaker(source, seed)
    recognizer = _recognizer() if heard_right else None
    random = np.random.default_rng(seed)
    clips: list[tuple[str, Audio]] = []
    for text in _texts(sentences, held_out, seed):
        audio = speak(text)
        if recognizer and normalized_words(recognizer.transcribe(audio)) != normalized_words(text):
            continue
        clips.append((text, _disturbed(_faster(audio, pitch), noise_db, random)))
        if len(clips) == sentences:
            break
    return write_recordings(Path(folder), clips)


def given_or_demo(
    data: Path | str | None, folder: Path | str, sentences: int, **settings: Any
) -> Path:
    """``data`` where it is given, else ``folder`` with recordings made there now.

    ``settings`` are those of ``demo_recordings``.
    """
    if data is not None:
        return Path(data)
    demo_recordings(folder, sentences, **settings)
    return Path(folder)


def new_domain(
    data: Path | str | None, folder: Path | str, train: int, test: int, **settings: Any
) -> tuple[list[Recording], list[Recording]]:
    """Recordings to train on, and others of the same kind to test with.

    Of ``data`` every fifth is for the test; without any, ``train`` and ``test`` are made below
    ``folder``, of different sentences.
    """
    if data is not None:
        given = read_recordings(data)
        kept = given[_TEST_EVERY - 1 :: _TEST_EVERY]
        return [one for one in given if one not in kept], kept
    return (
        demo_recordings(Path(folder) / "train", train, **settings),
        demo_recordings(Path(folder) / "test", test, held_out=True, **settings),
    )


@cache
def _recognizer() -> SphinxRecognizer:
    return SphinxRecognizer()


def _texts(count: int, held_out: bool, seed: int) -> Sequence[str] | Iterator[str]:
    many = _TRIES * count
    if held_out:
        return held_out_sentences(many, _SEED + seed)
    return islice(training_sentences(_SEED + seed), many)


def _speaker(source: str, seed: int) -> Speak:
    engine, _, voice = source.partition(":")
    if engine == "flite":
        return _flite(voice)
    if engine == "espeak-ng":
        return _espeak(voice or "en-us")
    import workbench

    synthesizer = workbench.load(engine)
    number = int(voice or 0)
    return lambda text: synthesizer.synthesize(text, voice=number, seed=seed)


def _flite(voice: str) -> Speak:
    from workbench.finetune.nano.speech import RATE_HZ, VOICES, flite

    names = [one.name for one in VOICES]
    if voice not in names:
        raise InputError(f"no flite voice {voice!r}", f"use {', '.join(names)}")
    return lambda text: Audio(flite().say(text, names.index(voice)).samples, RATE_HZ)


def _espeak(voice: str) -> Speak:
    program = shutil.which("espeak-ng")
    if program is None:
        raise InputError("espeak-ng is not installed", "apt install espeak-ng, or another source")

    def speak(text: str) -> Audio:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.wav"
            done = subprocess.run(
                [program, "-v", voice, "-w", str(path), "--", text], capture_output=True, text=True
            )
            if done.returncode or not path.is_file():
                raise InputError(
                    f"espeak-ng can't speak as {voice!r}: {done.stderr.strip()}",
                    "see `espeak-ng --voices`",
                )
            return Audio.read(path).resampled(24_000)

    return speak


def _faster(audio: Audio, pitch: float) -> Audio:
    """The same sound played ``pitch`` times as fast."""
    if pitch == 1.0:
        return Audio(audio.samples, audio.rate_hz)
    played = Audio(audio.samples, round(audio.rate_hz * pitch / 100) * 100)
    return played.resampled(audio.rate_hz)


def _disturbed(audio: Audio, noise_db: float | None, random: np.random.Generator) -> Audio:
    if noise_db is None:
        return audio
    level = float(np.sqrt(np.mean(np.square(audio.samples)))) * 10 ** (-noise_db / 20)
    noise = random.standard_normal(len(audio)).astype(np.float32) * level
    return Audio(np.clip(audio.samples + noise, -1, 1), audio.rate_hz)
