"""Synthetic speech by flite, with the time of every phone and word, through its C library.

flite (Black and Lenzo, "Flite: a small, fast run time synthesis engine", 2001) is called in
process: its utterance structure tells which phone belongs to which word and when it ends, so
every label is exact and free.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from workbench.errors import InputError

RATE_HZ = 24_000
FLITE_RATE_HZ = 16_000
EDGE_SILENCE_S = 0.10  # what is kept of flite's silence before and after a sentence
FLITE_FOLDER = "WORKBENCH_FLITE"  # environment variable: folder with flite's unpacked packages
_PHONES = """
pau aa ae ah ao aw ax axr ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh
uw v w y z zh
"""
PHONES = tuple(_PHONES.split())  # flite's, US English; pau is silence
PHONE_IDS = {phone: position for position, phone in enumerate(PHONES)}


@dataclass(frozen=True)
class Voice:
    """A flite voice and its place in the training data."""

    name: str  # flite's name
    share: float  # of the training utterances
    gain: float  # brings the voices to about one level
    description: str


# The position in this tuple is CSM's speaker id.
VOICES = (
    Voice("rms", 0.32, 1.0, "US English, male, statistical parametric"),
    Voice("awb", 0.32, 1.0, "Scottish English, male, statistical parametric"),
    Voice("slt", 0.20, 0.5, "US English, female, statistical parametric"),
    Voice("kal16", 0.16, 2.0, "US English, male, diphones; sounds mechanical"),
)


# Speeds in hundredths at which a voice is played to be another one: its pitch and formants move.
# What lies between is kept from training: the voices themselves, and those that judge clones.
_TRAINED_PERCENT = (range(78, 86), range(92, 98), range(103, 113), range(118, 131))
NEW_SPEEDS = tuple(percent / 100 for part in _TRAINED_PERCENT for percent in part)
HELD_OUT_SPEEDS = (0.89, 1.15)  # in the middle of a gap
NEW_SPEAKERS = 10  # speakers from here on are the voices at new speeds; below are CSM's ids


@dataclass(frozen=True)
class Utterance:
    """One synthesized sentence.

    ``samples`` ``[T]`` float32 at 24 kHz; ``phones`` ``[P]`` ids into ``PHONES`` with
    ``phone_ends`` ``[P]`` in samples, the last equal to ``T``; ``phone_words`` ``[P]`` the
    position of each phone's word in ``text.split()``, -1 for silence.
    """

    text: str
    speaker: int
    samples: np.ndarray
    phones: np.ndarray
    phone_ends: np.ndarray
    phone_words: np.ndarray


class _Wave(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


def _library(name: str) -> ctypes.CDLL:
    """A flite library from the system or from the folder named by ``WORKBENCH_FLITE``."""
    file = f"lib{name}.so.1"
    try:
        return ctypes.CDLL(str(_unpacked(file) or file), mode=ctypes.RTLD_GLOBAL)
    except OSError as problem:
        raise InputError(
            f"flite's library {file} can't be loaded: {problem}",
            "apt install flite, or unpack its packages (libflite1, and libasound2 where the "
            f"system has none) with dpkg -x into a folder and name it in ${FLITE_FOLDER}",
        ) from problem


def _unpacked(file: str) -> Path | None:
    folder = os.environ.get(FLITE_FOLDER)
    return next(iter(sorted(Path(folder).rglob(file))), None) if folder else None


class Flite:
    """flite's C library with the four voices registered."""

    def __init__(self) -> None:
        pointer, text = ctypes.c_void_p, ctypes.c_char_p
        # libflite asks for ALSA by name, which a bare machine lacks: the one beside it will do.
        if asound := _unpacked("libasound.so.2"):
            ctypes.CDLL(str(asound), mode=ctypes.RTLD_GLOBAL)
        self._c = _library("flite")
        _library("flite_usenglish")
        _library("flite_cmulex")
        for function, result, arguments in (
            ("flite_init", ctypes.c_int, []),
            ("flite_synth_text", pointer, [text, pointer]),
            ("utt_wave", ctypes.POINTER(_Wave), [pointer]),
            ("utt_relation", pointer, [pointer, text]),
            ("relation_head", pointer, [pointer]),
            ("item_next", pointer, [pointer]),
            ("item_feat_float", ctypes.c_float, [pointer, text]),
            ("item_feat_string", text, [pointer, text]),
            ("path_to_item", pointer, [pointer, text]),
            ("delete_utterance", None, [pointer]),
        ):
            entry = getattr(self._c, function)
            entry.restype, entry.argtypes = result, arguments
        self._c.flite_init()
        self._voices = []
        for voice in VOICES:
            name = f"cmu_us_{voice.name}"
            register = getattr(_library(f"flite_{name}"), f"register_{name}")
            register.restype, register.argtypes = pointer, [text]
            self._voices.append(register(None))

    def say(self, text: str, speaker: int) -> Utterance:
        """Synthesizes ``text`` (lower-case words, commas) with the voice ``VOICES[speaker]``."""
        c = self._c
        utterance = c.flite_synth_text(text.encode(), self._voices[speaker])
        if not utterance:
            raise InputError(f"flite can't speak {text[:60]!r}", "use plain English words")
        try:
            wave = c.utt_wave(utterance).contents
            samples = np.ctypeslib.as_array(wave.samples, (wave.num_samples,)).copy()
            rate_hz = wave.sample_rate
            phones, ends, words = [], [], []
            tokens: dict[int, int] = {}
            item = c.relation_head(c.utt_relation(utterance, b"Segment"))
            while item:
                phones.append(PHONE_IDS[c.item_feat_string(item, b"name").decode()])
                ends.append(c.item_feat_float(item, b"end"))
                token = c.path_to_item(item, b"R:SylStructure.parent.parent.R:Token.parent")
                words.append(tokens.setdefault(token, len(tokens)) if token else -1)
                item = c.item_next(item)
        finally:
            c.delete_utterance(utterance)
        return _trimmed(text, speaker, samples, rate_hz, phones, ends, words)


@cache
def flite() -> Flite:
    """The process's one flite (its voices are global state)."""
    return Flite()


def new_voice(utterance: Utterance, number: int) -> Utterance:
    """``utterance`` played at ``NEW_SPEEDS[number]``, as a speaker from ``NEW_SPEAKERS`` on."""
    speaker = NEW_SPEAKERS + utterance.speaker * len(NEW_SPEEDS) + number
    return replace(at_speed(utterance, NEW_SPEEDS[number]), speaker=speaker)


def voice_of(speaker: int) -> tuple[int, float]:
    """Position in ``VOICES`` and speed of an utterance's ``speaker``."""
    if speaker < NEW_SPEAKERS:
        return speaker, 1.0
    voice, number = divmod(speaker - NEW_SPEAKERS, len(NEW_SPEEDS))
    return voice, NEW_SPEEDS[number]


def at_speed(utterance: Utterance, speed: float) -> Utterance:
    """``utterance`` played ``speed`` times as fast, in steps of a hundredth."""
    percent = round(100 * speed)
    divisor = int(np.gcd(100, percent))
    samples = resample_poly(utterance.samples, 100 // divisor, percent // divisor)
    ends = np.rint(utterance.phone_ends / speed).astype(np.int32)
    ends[-1] = len(samples)
    return replace(
        utterance,
        samples=np.clip(samples, -1, 1).astype(np.float32),
        phone_ends=np.minimum(ends, len(samples)),
    )


def _trimmed(
    text: str,
    speaker: int,
    samples: np.ndarray,
    rate_hz: int,
    phones: list[int],
    ends: list[float],
    words: list[int],
) -> Utterance:
    """Cuts the silence at both edges to ``EDGE_SILENCE_S`` and resamples to 24 kHz."""
    if rate_hz != FLITE_RATE_HZ:
        raise InputError(f"flite spoke at {rate_hz} Hz", "use its 16 kHz voices")
    boundaries_s = np.minimum(np.array(ends), len(samples) / rate_hz)
    spoken = np.flatnonzero(np.array(words) >= 0)
    if not len(spoken) or max(words) + 1 != len(text.split()):
        raise InputError(f"flite reads {text[:60]!r} as other words", "use plain English words")
    first_s = boundaries_s[spoken[0] - 1] if spoken[0] else 0.0
    start_s = max(first_s - EDGE_SILENCE_S, 0.0)
    stop_s = min(boundaries_s[spoken[-1]] + EDGE_SILENCE_S, len(samples) / rate_hz)
    kept = samples[round(start_s * rate_hz) : round(stop_s * rate_hz)].astype(np.float32)
    kept *= VOICES[speaker].gain / 32768
    resampled = resample_poly(kept, RATE_HZ // 8000, FLITE_RATE_HZ // 8000)
    resampled = np.clip(resampled, -1, 1).astype(np.float32)
    stops = np.clip(np.rint((boundaries_s - start_s) * RATE_HZ), 0, len(resampled)).astype(np.int32)
    stops[-1] = len(resampled)
    return Utterance(
        text,
        speaker,
        resampled,
        np.array(phones, np.uint8),
        stops,
        np.array(words, np.int16),
    )
