"""Recordings as codes, encoded once: files that training reads instead of sound.

The codec is frozen, so that its codes are the same in every epoch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.files import atomic_path, sha256_of
from workbench.finetune.recordings import Recording
from workbench.models.mimi.streaming import offline_latents
from workbench.native.mimi import encode_latents
from workbench.text import checked

LONGEST_S = 30.0


@dataclass(frozen=True)
class Coded:
    """One recording: its ``text``, where its codes ``[T, K]`` (int16) lie, and how many frames."""

    text: str
    path: Path
    frames: int

    def codes(self) -> np.ndarray:
        """``[T, K]`` int16, read from disk."""
        return np.asarray(np.load(self.path))


@torch.inference_mode()
def encode(
    codec: Any, codebooks: int, recordings: Sequence[Recording], folder: Path
) -> list[Coded]:
    """The recordings' codes, below ``folder``: read where they were made before, else made.

    A file's name says of which sound and which codec it is, so that a changed one is made anew.
    Raises InputError for sound that can't be read, or that is shorter than a frame or longer
    than 30 s.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = _digest(codec)
    coded = []
    for recording in tqdm(recordings, desc="codes", unit="recording", leave=False):
        path = folder / f"{sha256_of(recording.path)[:16]}-{key}.npy"
        if not path.is_file():
            codes = _encoded(codec, recording.path)[:codebooks]
            with atomic_path(path) as temporary:
                np.save(temporary, codes.T.cpu().numpy().astype(np.int16))
        frames = int(np.load(path, mmap_mode="r").shape[0])
        coded.append(Coded(checked(recording.text), path, frames))
    return coded


def _encoded(codec: Any, path: Path) -> torch.Tensor:
    """Codes ``[K, T]`` of a sound file; the search in the codebooks is the native one."""
    rate_hz = int(codec.config.sampling_rate)
    audio = Audio.read(path).resampled(rate_hz)
    if not rate_hz / codec.config.frame_rate <= len(audio) <= LONGEST_S * rate_hz:
        raise InputError(
            f"{path} lasts {audio.duration_s:.2f} s", f"use recordings of 0.1 to {LONGEST_S:g} s"
        )
    first = next(codec.parameters())
    sound = torch.from_numpy(audio.samples).to(first.device, first.dtype)
    return encode_latents(codec, offline_latents(codec, sound[None, None]))[0]


def _digest(codec: Any) -> str:
    """Eight digits that change with any weight of the codec."""
    whole = hashlib.sha256()
    for value in codec.state_dict().values():
        whole.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return whole.hexdigest()[:8]
