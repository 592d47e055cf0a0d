"""Synthetic speakers: voices of eSpeak NG and flite, some played faster or slower.

eSpeak NG (github.com/espeak-ng/espeak-ng) makes formant speech, whose variants differ in pitch,
formants and breath. Playing a voice faster or slower moves its pitch and formants: another throat.
"""

from __future__ import annotations

import io
import itertools
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.finetune.nano.domain import held_out_sentences, training_sentences
from workbench.finetune.nano.speech import RATE_HZ, VOICES, flite

_VARIANTS = """
adam Alex Alicia Andrea Andy Annie antonio aunty belinda benjamin boris caleb david Denis Diogo ed
edward edward2 Gene Gene2 gustave Henrique Hugo iven iven2 iven3 Jacky john kaukovalta Lee linda
marcelo Marco Mario max Michael michel miguel Mike Nguyen pablo paul pedro quincy rob robert steph
steph2 Storm Tweaky zac anika f1 f2 f3 f4 f5 m1 m2 m3 m4 m5 m6 m7 m8 grandpa grandma klatt klatt2
klatt3 klatt4 norbert sandro shelby travis victor
"""
VARIANTS = tuple(_VARIANTS.split())
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-029")
HELD_OUT_EVERY = 5  # every fifth variant is never trained on
DRAWS = 3  # speakers made of each variant for training
FLITE_SPEEDS = (1.0, 0.9, 1.15)  # at which flite's voices are played to be other speakers
WORDS_PER_MINUTE = (140, 190)


@dataclass(frozen=True)
class Speaker:
    """A synthetic speaker; ``speed`` is how much faster than spoken it is played."""

    name: str
    source: Literal["espeak", "flite"]
    voice: str
    pitch: int = 50  # eSpeak's, 0 to 99
    speed: float = 1.0

    @property
    def made_by(self) -> str:
        """How it came about, in words."""
        program = "eSpeak NG" if self.source == "espeak" else "flite"
        words = f"{program}, voice {self.voice}"
        if self.source == "espeak":
            words += f", pitch {self.pitch}"
        return words if self.speed == 1 else f"{words}, played {self.speed:.2f} times as fast"

    def say(self, text: str, words_per_minute: int = 165) -> Audio:
        """Speaks ``text`` (at 24 kHz). Raises InputError where its program is missing."""
        if self.source == "flite":
            samples = flite().say(text, [voice.name for voice in VOICES].index(self.voice)).samples
            spoken = Audio(samples, RATE_HZ)
        else:
            spoken = _espeak(text, self.voice, self.pitch, round(words_per_minute / self.speed))
        # In steps of a hundredth, so that the resampling filter stays short.
        faster = Audio(spoken.samples, round(spoken.rate_hz * self.speed / 100) * 100)
        return faster.resampled(RATE_HZ)


def training_speakers(seed: int = 1) -> list[Speaker]:
    """Three speakers of each variant that isn't held out: other pitch, accent and speed."""
    source = np.random.default_rng(seed)
    found = []
    for number, variant in enumerate(VARIANTS):
        if number % HELD_OUT_EVERY == 0:
            continue
        for draw in range(DRAWS):
            accent = ACCENTS[source.integers(len(ACCENTS))]
            pitch = int(source.integers(15, 86))
            speed = round(float(source.uniform(0.85, 1.2)), 2)
            name = f"{variant}-{draw}"
            found.append(Speaker(name, "espeak", f"{accent}+{variant}", pitch, speed))
    return found


def held_out_speakers() -> list[Speaker]:
    """flite's voices at three speeds, and the variants of eSpeak that training never hears."""
    own = [
        Speaker(f"{voice.name} {speed:.2f}", "flite", voice.name, speed=speed)
        for voice, speed in itertools.product(VOICES, FLITE_SPEEDS)
    ]
    others = [
        Speaker(variant, "espeak", f"{ACCENTS[number % len(ACCENTS)]}+{variant}")
        for number, variant in enumerate(VARIANTS[::HELD_OUT_EVERY])
    ]
    return own + others


def sample_speakers() -> list[Speaker]:
    """Those that ship as sample voices: neither csm-nano nor speaker-nano was trained on them."""
    return [
        Speaker("Ada", "flite", "slt", speed=0.9),
        Speaker("Bruno", "flite", "rms", speed=1.15),
        Speaker("Clyde", "flite", "awb", speed=0.87),
        Speaker("Dora", "espeak", "en-gb+Annie"),
        Speaker("Emil", "espeak", "en-us+boris"),
        Speaker("Fay", "espeak", "en-us+f4"),
    ]


@lru_cache(maxsize=4)
def texts(count: int, *, held_out: bool, seed: int = 3) -> tuple[str, ...]:
    """Sentences of the nano voice's grammar, for training or kept from it."""
    if held_out:
        return tuple(held_out_sentences(count, seed))
    return tuple(itertools.islice(training_sentences(seed), count))


def _espeak(text: str, voice: str, pitch: int, words_per_minute: int) -> Audio:
    import soundfile

    program = shutil.which("espeak-ng")
    if program is None:
        raise InputError("espeak-ng isn't installed", "apt install espeak-ng")
    if missing := [part for part in voice.split("+") if part not in _espeak_voices(program)]:
        # It would speak in its default voice, without a word of it.
        raise InputError(f"espeak-ng has no voice {missing[0]!r}", "install espeak-ng 1.51")
    options = ["-v", voice, "-p", str(pitch), "-s", str(words_per_minute)]
    done = subprocess.run([program, *options, "--stdout", text], capture_output=True, check=True)
    samples, rate_hz = soundfile.read(io.BytesIO(done.stdout), dtype="float32")
    return Audio(samples, rate_hz)


@lru_cache(maxsize=1)
def _espeak_voices(program: str) -> frozenset[str]:
    """Names of its languages and variants."""
    listings = [
        subprocess.run([program, option], capture_output=True, check=True, text=True).stdout
        for option in ("--voices", "--voices=variant")
    ]
    languages = {line.split()[1] for line in listings[0].splitlines()[1:]}
    return frozenset(languages | set(re.findall(r"!v/(\S+)", listings[1])))
