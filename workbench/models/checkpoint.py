"""A CSM checkpoint's folder: found, verified and read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import InputError, ModelError
from workbench.files import sha256_of
from workbench.models.hub import snapshot
from workbench.paths import data_dir

SHIPPED = ("csm-nano",)
HUB_IDS = {"csm-1b": "sesame/csm-1b"}
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Checkpoint:
    """Where a checkpoint lies and what it calls itself.

    ``folder`` is None for an architecture that is only wanted with random weights.
    ``revision`` is the hub's commit or the first twelve digits of the weights' SHA-256.
    """

    name: str
    folder: Path | None
    revision: str

    def read_json(self, file: str) -> dict[str, Any]:
        """A JSON file of the folder; ModelError where it is missing or broken."""
        if self.folder is None:
            return {}
        path = self.folder / file
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as problem:
            raise ModelError(
                f"{self.name}: {file} is missing in {path.parent}",
                "point at a folder in transformers' CSM layout, or restore the file",
            ) from problem
        except (ValueError, OSError) as problem:
            raise ModelError(
                f"{self.name}: {path} can't be read as JSON: {problem}", "restore the file"
            ) from problem

    def read_json_or_empty(self, file: str) -> dict[str, Any]:
        """As ``read_json``, for files that a checkpoint need not have."""
        if self.folder is None or not (self.folder / file).exists():
            return {}
        return self.read_json(file)


def find(name: str, *, random: bool = False, revision: str | None = None) -> Checkpoint:
    """The checkpoint called ``name``: a shipped name, a folder, or a hub id.

    ``random`` asks for the architecture only, which for known names needs no download. Raises
    InputError for a name that is none of these, ModelError where files fail their checksum.
    """
    if name in SHIPPED:
        return local_checkpoint(name, data_dir() / "models" / name)
    if Path(name).is_dir():
        return local_checkpoint(Path(name).name, Path(name))
    if random and name in HUB_IDS:
        return Checkpoint(name, None, "random")
    if name in HUB_IDS or (_HUB_ID.fullmatch(name) and not name.startswith(".")):
        found = snapshot(HUB_IDS.get(name, name), revision)
        return Checkpoint(name, found.folder, found.revision)
    raise InputError(
        f"no engine or checkpoint called {name!r}",
        f"use {', '.join((*SHIPPED, *HUB_IDS))}, a folder, or a hub id such as sesame/csm-1b",
    )


def local_checkpoint(name: str, folder: Path) -> Checkpoint:
    """The checkpoint in ``folder``, verified; ModelError where files are missing or damaged."""
    if not folder.is_dir():
        raise ModelError(f"{name}: no folder {folder}", "restore data/models from the repository")
    sums = verify(folder)
    shards = sorted(folder.glob("*.safetensors"))
    digests = [sums.get(shard.name) or sha256_of(shard) for shard in shards]
    # Of several files the digest of their digests; a folder without any fails when it is read.
    whole = (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )
    return Checkpoint(name, folder, whole[:12])


def verify(folder: Path) -> Mapping[str, str]:
    """Checks the files listed in ``SHA256SUMS``; returns file name → digest.

    A folder without that list has nothing to verify. Raises ModelError for a listed file that
    is missing or differs.
    """
    listing = folder / "SHA256SUMS"
    if not listing.is_file():
        return {}
    sums: dict[str, str] = {}
    for line in listing.read_text(encoding="utf-8").splitlines():
        digest, _, file = line.partition("  ")
        path = folder / file
        if not path.is_file():
            raise ModelError(
                f"{folder.name}: {file} is missing in {folder}", "restore it from the repository"
            )
        if sha256_of(path) != digest:
            raise ModelError(
                f"{folder.name}: {file} is damaged (its SHA-256 isn't the listed one)",
                "restore it from the repository",
            )
        sums[file] = digest
    return sums
