"""References encoded once: codes kept by the hash of what they were made of."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from workbench.engines.speech import Reference
from workbench.errors import ModelError
from workbench.files import atomic_path
from workbench.models.hub import cache_dir


class Encoder(Protocol):
    """What makes codes: ``CsmEngine``. ``codec_name`` names the codec, its weights and type."""

    @property
    def codec_name(self) -> str:
        """Codes of one name are codes of the same codec."""
        ...

    def encoded(self, reference: Reference) -> Reference:
        """``reference`` with its codes."""
        ...


class CodeCache:
    """Codes of references in ``folder`` (default: ``references`` in the workbench's cache).

    What is kept is codes, from which the codec can make the voice again: the folder is as private
    as the recordings are.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_dir() / "references"
        self.hits = self.misses = 0

    def encoded(self, encoder: Encoder, reference: Reference) -> Reference:
        """``reference`` with its codes: those of before, or made now and kept.

        Codes of random weights aren't kept. Raises ModelError for a kept file that is damaged.
        """
        if reference.codes is not None:
            return encoder.encoded(reference)
        path = self.folder / f"{_key(encoder.codec_name, reference)}.npz"
        if path.is_file():
            self.hits += 1
            return replace(reference, codes=_read(path), codec=encoder.codec_name)
        self.misses += 1
        made = encoder.encoded(reference)
        if "@random" not in encoder.codec_name:
            assert made.codes is not None
            with atomic_path(path) as temporary:
                np.savez(temporary, codes=made.codes.astype(np.int16))
        return made


def _key(codec_name: str, reference: Reference) -> str:
    """Hash of all that decides the codes: the codec, the rate and the samples."""
    digest = hashlib.sha256(f"{codec_name}|{reference.audio.rate_hz}|".encode())
    digest.update(reference.audio.samples.tobytes())
    return digest.hexdigest()


def _read(path: Path) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as kept:
            return kept["codes"].astype(np.int64)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as problem:
        raise ModelError(
            f"the kept codes in {path.name} are damaged", f"delete {path.parent}"
        ) from problem
