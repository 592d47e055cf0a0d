"""Sample voices that the nano voice was never trained on: synthetic, with their transcripts."""

from __future__ import annotations

import json
from dataclasses import dataclass

from workbench.audio import Audio
from workbench.engines.speech import Reference
from workbench.errors import ModelError
from workbench.paths import data_dir

FOLDER = "voices"  # in data/
LISTING = "voices.json"


@dataclass(frozen=True)
class SampleVoice:
    """A voice with its clips and what is said in them; ``made_by`` says how it came about."""

    name: str
    made_by: str
    clips: tuple[Reference, ...]


def sample_voices() -> tuple[SampleVoice, ...]:
    """The voices of ``data/voices``, each with the same sentences; ModelError where one is gone."""
    folder = data_dir() / FOLDER
    try:
        listing = json.loads((folder / LISTING).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ModelError(
            f"data/{FOLDER}/{LISTING} can't be read: {problem}", "restore it from the repository"
        ) from problem
    return tuple(
        SampleVoice(
            one["name"],
            one["made_by"],
            tuple(Reference(Audio.read(folder / c["file"]), c["text"]) for c in one["clips"]),
        )
        for one in listing
    )
