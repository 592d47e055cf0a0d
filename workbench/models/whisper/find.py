"""Whisper checkpoints by name, in CTranslate2's or transformers' layout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from workbench.errors import InputError, ModelError
from workbench.files import sha256_of
from workbench.models.checkpoint import Checkpoint, verify
from workbench.models.hub import snapshot
from workbench.models.whisper.random import random_whisper
from workbench.paths import data_dir

Layout = Literal["ctranslate2", "transformers"]

NANO = "whisper-nano"
CTRANSLATE2_FOLDER = "ct2"  # inside a shipped model's folder
_ENGLISH_TOO = ("tiny", "base", "small", "medium")
_LARGE = ("large-v1", "large-v2", "large-v3")
SIZES = (*_ENGLISH_TOO, *(f"{size}.en" for size in _ENGLISH_TOO), *_LARGE, "large-v3-turbo")
_TURBO = {
    "ctranslate2": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "transformers": "openai/whisper-large-v3-turbo",
}
_WEIGHTS = {"ctranslate2": "model.bin", "transformers": "model.safetensors"}
_WANTED = {
    "ctranslate2": ("model.bin", "*.json", "vocabulary.*"),
    "transformers": ("model*.safetensors", "*.json"),
}
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def find_whisper(
    name: str, layout: Layout, revision: str | None = None, *, random: bool = False
) -> Checkpoint:
    """The checkpoint called ``name``: ``whisper-nano``, a size, a folder or a hub id.

    ``random`` asks for a size's architecture with random weights, which needs no download.

    The result's ``revision`` is the hub's commit or the first twelve digits of the weights'
    SHA-256. Raises InputError for a name that is none of these, ModelError for files that are
    missing or fail their checksum.
    """
    if random:
        if name not in SIZES:
            raise InputError(f"no size called {name!r}", f"use one of {', '.join(SIZES)}")
        return random_whisper(name, layout)
    if name == NANO:
        return _local(name, data_dir() / "models" / name, layout)
    if Path(name).is_dir():
        return _local(Path(name).name, Path(name), layout)
    if name in SIZES or (_HUB_ID.fullmatch(name) and not name.startswith(".")):
        found = snapshot(_repository(name, layout), revision, wanted=_WANTED[layout])
        _weights(name, found.folder, layout)
        return Checkpoint(name, found.folder, found.revision)
    raise InputError(
        f"no recognizer called {name!r}",
        f"use {NANO}, a size ({', '.join(SIZES)}), a folder, or a hub id",
    )


def _repository(name: str, layout: Layout) -> str:
    if name not in SIZES:
        return name
    if name == "large-v3-turbo":
        return _TURBO[layout]
    if layout == "ctranslate2":
        return f"Systran/faster-whisper-{name}"
    return "openai/whisper-large" if name == "large-v1" else f"openai/whisper-{name}"


def _local(name: str, folder: Path, layout: Layout) -> Checkpoint:
    inner = folder / CTRANSLATE2_FOLDER
    if layout == "ctranslate2" and inner.is_dir():
        folder = inner
    path = _weights(name, folder, layout)
    sums = verify(folder)
    return Checkpoint(name, folder, (sums.get(path.name) or sha256_of(path))[:12])


def _weights(name: str, folder: Path, layout: Layout) -> Path:
    """The weights' file; of several shards their index."""
    for file in (_WEIGHTS[layout], f"{_WEIGHTS[layout]}.index.json"):
        if (folder / file).is_file():
            return folder / file
    raise ModelError(
        f"{name}: no {_WEIGHTS[layout]} in {folder}",
        f"point at a Whisper in the layout of {layout}, or use another implementation",
    )
