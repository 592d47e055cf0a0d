"""A recording as a user gives it: read, hashed, brought to one channel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.files import sha256_of

SCAN_S = 300.0  # of a long recording only the beginning is looked at
_CANCELS_DB = 6.0  # channels that lose more when they are averaged are of opposite phase


@dataclass(frozen=True)
class Recording:
    """The first five minutes of a sound file as mono ``audio``, at the file's own rate.

    ``duration_s`` and ``channels`` are the whole file's, ``sha256`` is of its bytes. ``cancels``
    tells that averaging would have cancelled the sound, so that the louder channel was taken.
    """

    name: str
    sha256: str
    audio: Audio
    duration_s: float
    channels: int
    cancels: bool = False


def read_recording(path: Path | str) -> Recording:
    """Reads a sound file.

    Raises InputError where there is no such file, or it holds no sound that can be read.
    """
    import soundfile

    path = Path(path)
    if not path.is_file():
        raise InputError(f"no sound file at {path}", "check the path")
    try:
        with soundfile.SoundFile(path) as file:
            rate_hz, duration_s = file.samplerate, file.frames / file.samplerate
            samples = file.read(round(SCAN_S * rate_hz), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as problem:
        # Its full message names the folder, which may get into a record. Of what only looks like
        # an MP3 by its name it says that there is no such file.
        why = problem.error_string
        raise InputError(
            f"{path.name} can't be read as sound: "
            f"{'nothing in it is sound.' if 'does not exist' in why else why}",
            "convert it to WAV or FLAC",
        ) from problem
    if not len(samples) or not np.isfinite(samples).all():
        raise InputError(
            f"{path.name} holds {'no' if not len(samples) else 'impossible'} samples",
            "record or export it again",
        )
    mono, cancels = _mono(samples)
    audio = Audio(mono, rate_hz)
    return Recording(path.name, sha256_of(path), audio, duration_s, samples.shape[1], cancels)


def _mono(samples: np.ndarray) -> tuple[np.ndarray, bool]:
    """``[T]`` of ``[T, channels]``: the mean, or the loudest where the mean cancels."""
    mean = samples.mean(axis=1)
    levels = np.sqrt(np.square(samples, dtype=np.float64).mean(axis=0))
    level = float(np.sqrt(np.square(mean, dtype=np.float64).mean()))
    # Uncorrelated channels lose 3 dB; a silent one beside a loud one loses 6.
    expected = float(levels.mean()) * 10 ** (-_CANCELS_DB / 20)
    cancels = samples.shape[1] > 1 and level < expected
    return (samples[:, int(levels.argmax())] if cancels else mean), cancels
