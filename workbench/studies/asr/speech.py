"""Speech whose words are known: held-out sentences by a voice, or recordings with their texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.studies.turns.clips import held_out_texts

_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


@dataclass(frozen=True)
class SpokenText:
    """``audio`` in which somebody says ``text``."""

    text: str
    audio: Audio


def held_out_speech(
    engine: Any,
    count: int,
    *,
    seed: int = 0,
    wrap: Callable[[Iterable[str]], Iterable[str]] = lambda texts: texts,
) -> list[SpokenText]:
    """``count`` sentences that no nano model has seen, spoken by all voices of ``engine`` in turn.

    ``wrap`` sees the sentences pass, for a progress bar. Raises InputError for more sentences than
    there are.
    """
    texts, voices = held_out_texts(), list(engine.voices)
    if not 0 < count <= len(texts):
        raise InputError(f"{count} sentences", f"use 1 to {len(texts)}")
    return [
        SpokenText(text, engine.synthesize(text, voice=voices[number % len(voices)], seed=seed))
        for number, text in enumerate(wrap(texts[:count]))
    ]


def speech_for(
    folder: Path | str | None,
    voice_engine: str,
    count: int,
    *,
    seed: int = 0,
    wrap: Callable[[Iterable[str]], Iterable[str]] = lambda texts: texts,
) -> list[SpokenText]:
    """The recordings in ``folder``, or where none is given what ``voice_engine`` speaks."""
    if folder is not None:
        return read_speech(folder)
    from workbench.engines.load import load

    return held_out_speech(load(voice_engine), count, seed=seed, wrap=wrap)


def read_speech(folder: Path | str) -> list[SpokenText]:
    """The recordings in ``folder``, each with its words in a ``.txt`` of the same name.

    Raises InputError where there is none, or one has no text.
    """
    folder = Path(folder)
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in _SUFFIXES)
    if not files:
        raise InputError(f"no recordings in {folder}", f"put {', '.join(_SUFFIXES)} files there")
    found = []
    for file in files:
        words = file.with_suffix(".txt")
        text = words.read_text(encoding="utf-8").strip() if words.is_file() else ""
        if not text:
            raise InputError(f"{file.name} has no text", f"write what it says into {words.name}")
        found.append(SpokenText(text, Audio.read(file)))
    return found
