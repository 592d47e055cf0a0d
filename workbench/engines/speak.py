"""``speak``: a text by the engine that suits it, as RTX50's ``speak`` does.

spoken = workbench.speak("good morning", mode="auto", outfile="a.wav")
spoken.engine, spoken.reasons, spoken.fallbacks        # which one, why, and what couldn't be had

``fast`` is Piper, ``cinematic`` Chatterbox. Where one can't be had the next one speaks, and the
result and a warning say so: csm-nano is the engine that is always there.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from workbench.audio import Audio
from workbench.engines.house import ALWAYS_THERE, House
from workbench.engines.speech import Reference, Speech
from workbench.errors import InputError, WorkbenchError
from workbench.text import checked

Mode = Literal["fast", "cinematic", "auto"]

CHAINS: Mapping[str, tuple[str, ...]] = {
    "fast": ("piper", ALWAYS_THERE),
    "cinematic": ("chatterbox", "piper", ALWAYS_THERE),
}
CLONES = ("chatterbox",)
# Chatterbox's networks and caches take about 5 GB in 16 bits; below that it swaps or fails.
CINEMATIC_GPU_BYTES = 6 * 2**30
LONG_CHARS = 400  # from here on, waiting counts more than expression
_EXPRESSIVE = re.compile(r"[!?…—]|\.\.\.")


class FellBack(UserWarning):
    """Another engine spoke than the one that was asked for."""


@dataclass(frozen=True)
class Choice:
    """A mode that was chosen, and why, in words."""

    mode: Literal["fast", "cinematic"]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The ``engine`` that would speak, the ``choice`` of mode, and what can't be had, in words."""

    engine: str
    choice: Choice
    fallbacks: tuple[str, ...]


@dataclass(frozen=True)
class Spoken:
    """What was said, by which ``engine``, in which ``mode``, and why.

    ``asked`` is the mode that was asked for. ``fallbacks`` has a sentence for each engine that
    should have spoken and couldn't, and for a prompt that wasn't used.
    """

    speech: Speech
    engine: str
    asked: Mode
    mode: Literal["fast", "cinematic"]
    reasons: tuple[str, ...]
    fallbacks: tuple[str, ...] = ()
    voice_name: str = ""
    path: Path | None = None

    def __str__(self) -> str:
        words = [f"{self.engine} ({self.mode}): {'; '.join(self.reasons)}", *self.fallbacks]
        return ". ".join(words)


def speak(
    text: str,
    mode: Mode = "auto",
    audio_prompt: Audio | Path | str | None = None,
    outfile: Path | str | None = None,
    *,
    prompt_text: str = "",
    voice: int = 0,
    seed: int | None = None,
    house: House | None = None,
) -> Spoken:
    """Speaks ``text`` and says which engine did, and why.

    ``fast`` is Piper and ``cinematic`` Chatterbox, which speaks on in the voice of
    ``audio_prompt`` (a sound file, or audio; ``prompt_text`` is what is said in it, for engines
    that want to know). ``auto`` takes cinematic for a prompt, or where Chatterbox and a GPU for
    it are there and the text is short and expressive; else fast. ``outfile`` is written where it
    is named.

    Where the engine isn't installed or doesn't load, the next one speaks (cinematic: Piper, then
    csm-nano; fast: csm-nano); a ``FellBack`` warning and the result say why. Raises InputError for
    a text, mode or prompt that can't be used.
    """
    if mode not in get_args(Mode):
        raise InputError(f"no mode called {mode!r}", f"use {', '.join(get_args(Mode))}")
    text = checked(text)
    prompt = _prompt(audio_prompt, prompt_text, voice)
    house = house or House()
    choice = choose_mode(mode, text, prompt is not None, house)
    name, engine, fallbacks = _first(house, CHAINS[choice.mode])
    context = [prompt] if prompt is not None and name in CLONES else []
    if prompt is not None and not context:
        fallbacks.append(f"{name} speaks in a voice of its own: the prompt is not used")
    if fallbacks and voice not in engine.voices:  # the number was another engine's
        other = next(iter(engine.voices))
        fallbacks.append(f"{name} has no voice {voice}: voice {other} speaks")
        voice = other
    for words in fallbacks:
        warnings.warn(words, FellBack, stacklevel=2)
    speech: Speech = engine.synthesize(text, voice=voice, context=context, seed=seed)
    path = speech.write(outfile) if outfile is not None else None
    reasons, told = choice.reasons, tuple(fallbacks)
    return Spoken(speech, name, mode, choice.mode, reasons, told, engine.voices[voice], path)


def choose_mode(mode: Mode, text: str, prompted: bool, house: House) -> Choice:
    """The mode that is meant, with its reasons: by prompt, hardware, installed engines and text."""
    if mode != "auto":
        return Choice(mode, (f"{mode} was asked for",))
    if prompted:
        return Choice("cinematic", ("only cinematic clones the voice of a prompt",))
    missing = house.missing("chatterbox")
    if missing:
        return Choice("fast", (f"chatterbox can't be had: {missing}",))
    gpu = house.gpu()
    if gpu is None:
        return Choice("fast", ("without a GPU chatterbox would be slower than real time",))
    if gpu.bytes < CINEMATIC_GPU_BYTES:
        has, needs = gpu.bytes / 2**30, CINEMATIC_GPU_BYTES / 2**30
        return Choice("fast", (f"{gpu.name} has {has:.0f} GiB, chatterbox wants {needs:.0f}",))
    if len(text) > LONG_CHARS:
        return Choice("fast", (f"{len(text)} characters: a long text is sooner done",))
    if not _EXPRESSIVE.search(text):
        return Choice("fast", ("a plain statement needs no expression",))
    return Choice("cinematic", (f"a short, expressive text, and {gpu.name} has room for it",))


def plan(
    text: str, mode: Mode = "auto", prompted: bool = False, house: House | None = None
) -> Plan:
    """Who would speak ``text``, and why, without loading anything."""
    house = house or House()
    choice = choose_mode(mode, checked(text), prompted, house)
    chain = CHAINS[choice.mode]
    fallbacks = []
    for name in chain:
        missing = house.missing(name) if name != chain[-1] else ""
        if not missing:
            break
        fallbacks.append(f"{name} can't be had: {missing}")
    return Plan(name, choice, tuple(fallbacks))


def _first(house: House, chain: Sequence[str]) -> tuple[str, Any, list[str]]:
    """The first engine of ``chain`` that can be had, and a sentence for each before it.

    An error of the last one is the caller's.
    """
    fallbacks: list[str] = []
    for name in chain[:-1]:
        missing = house.missing(name)
        if missing:
            fallbacks.append(f"{name} can't be had: {missing}")
            continue
        try:
            return name, house.load(name), fallbacks
        except WorkbenchError as problem:
            fallbacks.append(f"{name} didn't load: {problem.what} → {problem.remedy}")
    return chain[-1], house.load(chain[-1]), fallbacks


def _prompt(given: Audio | Path | str | None, text: str, voice: int) -> Reference | None:
    if given is None:
        if text:
            raise InputError("a prompt's text without its sound", "pass audio_prompt, too")
        return None
    audio = given if isinstance(given, Audio) else Audio.read(given)
    if not audio.duration_s:
        raise InputError("an audio prompt without sound", "use a few seconds of speech")
    return Reference(audio, text, voice)
