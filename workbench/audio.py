"""``Audio``: mono samples with their rate; reading, writing and levels.

soundfile is imported where a file is read or written: a machine that only measures needs none.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import InputError
from workbench.files import atomic_path

AUDIBLE_DBFS = -40.0  # first sample above this level is the audible onset


@dataclass(frozen=True)
class Audio:
    """Mono audio: ``samples`` ``[T]`` float32 in [-1, 1], ``rate_hz`` samples a second.

    Raises InputError for anything that is not one-dimensional, finite and of a positive rate.
    """

    samples: np.ndarray
    rate_hz: int

    def __post_init__(self) -> None:
        samples = np.ascontiguousarray(self.samples, dtype=np.float32)
        if samples.ndim != 1:
            raise InputError(
                f"audio of shape {samples.shape} is not mono", "pass samples of shape [T]"
            )
        if self.rate_hz <= 0:
            raise InputError(f"a sample rate of {self.rate_hz} Hz", "pass a positive rate")
        if not np.isfinite(samples).all():
            raise InputError("audio holds NaN or infinite samples", "check where it was made")
        object.__setattr__(self, "samples", samples)

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate_hz

    @property
    def peak_dbfs(self) -> float:
        """Level of the largest sample, in dB of full scale; -inf for silence."""
        return _dbfs(float(np.abs(self.samples).max(initial=0.0)))

    @property
    def rms_dbfs(self) -> float:
        """Root-mean-square level, in dB of full scale; -inf for silence."""
        if not len(self.samples):
            return float("-inf")
        return _dbfs(float(np.sqrt(np.mean(np.square(self.samples, dtype=np.float64)))))

    @property
    def audible_onset_s(self) -> float | None:
        """Time of the first sample above -40 dBFS, None where there is none."""
        above = np.flatnonzero(np.abs(self.samples) > 10 ** (AUDIBLE_DBFS / 20))
        return float(above[0]) / self.rate_hz if len(above) else None

    def resampled(self, rate_hz: int) -> Audio:
        """The same sound at ``rate_hz`` (polyphase filter of scipy)."""
        if rate_hz == self.rate_hz:
            return self
        from scipy.signal import resample_poly

        divisor = int(np.gcd(self.rate_hz, rate_hz))
        samples = resample_poly(self.samples, rate_hz // divisor, self.rate_hz // divisor)
        return Audio(samples.astype(np.float32), rate_hz)

    def encoded(self, format: str = "MP3") -> bytes:
        """The file's bytes in ``format`` (WAV, FLAC, MP3, OGG), with no change of level."""
        import soundfile

        buffer = io.BytesIO()
        options: dict[str, Any] = {"compression_level": 0.5} if format == "MP3" else {}
        soundfile.write(buffer, self.samples, self.rate_hz, format=format, **options)
        return buffer.getvalue()

    def write(self, path: Path | str) -> Path:
        """Writes a sound file (format by its suffix), whole or not at all.

        Raises InputError for a suffix that libsndfile doesn't know, OutputError where the
        folder can't be written.
        """
        import soundfile

        path = Path(path)
        if path.suffix[1:].upper() not in soundfile.available_formats():
            raise InputError(
                f"{path.name!r} has no sound file's suffix", "use .wav, .flac, .ogg or .mp3"
            )
        with atomic_path(path) as temporary:
            soundfile.write(temporary, self.samples, self.rate_hz)
        return path

    @staticmethod
    def read(path: Path | str) -> Audio:
        """Reads a sound file; several channels are averaged.

        Raises InputError where there is no such file or it isn't sound.
        """
        import soundfile

        path = Path(path)
        if not path.is_file():
            raise InputError(f"no sound file at {path}", "check the path")
        try:
            samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as problem:
            raise InputError(
                f"{path} can't be read as sound: {problem}", "convert it to WAV or FLAC"
            ) from problem
        return Audio(samples.mean(axis=1), rate_hz)

    @staticmethod
    def concatenate(parts: Sequence[Audio]) -> Audio:
        """The parts one after another; all must have one rate."""
        rates = {part.rate_hz for part in parts}
        if len(rates) != 1:
            raise InputError(
                f"audio of rates {sorted(rates)} can't be joined", "resample to one rate first"
            )
        return Audio(np.concatenate([part.samples for part in parts]), rates.pop())


def _dbfs(level: float) -> float:
    return 20 * float(np.log10(level)) if level > 0 else float("-inf")
