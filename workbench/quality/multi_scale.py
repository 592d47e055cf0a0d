"""Multi-scale spectrogram distance: several window sizes, because no single one sees all.

Long windows tell harmonics apart, short ones the onsets of consonants. The sizes and both terms
are Parallel WaveGAN's auxiliary loss (Yamamoto, Song & Kim 2020, eq. 4-6, at 24 kHz as here);
DDSP (Engel et al. 2020) trains on the same idea. What is ours: magnitudes below -80 dB of a
full-scale sine count as that, as in the log-mel distance, since their logarithms say nothing
that anyone hears.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.audio import Audio
from workbench.quality.spectral import FLOOR_DB, common_part

# FFT size, window and hop in samples: 50, 25 and 10 ms windows at 24 kHz.
SCALES = ((2048, 1200, 240), (1024, 600, 120), (512, 240, 50))


@dataclass(frozen=True)
class MultiScale:
    """Means over the scales; both 0 for equal sound.

    ``spectral_convergence`` is the norm of the difference of magnitudes over the reference's:
    it weighs what is loud. ``log_magnitude`` is the mean absolute difference of their natural
    logarithms, where the quiet parts count as much.
    """

    spectral_convergence: float
    log_magnitude: float

    @property
    def total(self) -> float:
        """The sum, which is the published loss."""
        return self.spectral_convergence + self.log_magnitude


def multi_scale_distance(reference: Audio, other: Audio) -> MultiScale:
    """How far ``other`` is from ``reference``, over the time that both have in common.

    It compares frame by frame: the same words said at other moments are far apart.

    Raises InputError for clips of different rates or without samples.
    """
    first, second = common_part(reference, other)
    found = [_distance(first, second, *scale) for scale in SCALES]
    convergence, magnitude = (float(np.mean(values)) for values in zip(*found, strict=True))
    return MultiScale(convergence, magnitude)


def _distance(
    reference: np.ndarray, other: np.ndarray, size: int, window: int, hop: int
) -> tuple[float, float]:
    wanted, found = (_magnitudes(samples, size, window, hop) for samples in (reference, other))
    convergence = np.sqrt(np.square(wanted - found).sum() / np.square(wanted).sum())
    return float(convergence), float(np.abs(np.log(wanted) - np.log(found)).mean())


def _magnitudes(samples: np.ndarray, size: int, window: int, hop: int) -> np.ndarray:
    """``[frames, size // 2 + 1]``, 1 for a full-scale sine in its bin, floored."""
    padded = np.pad(samples.astype(np.float64), (0, max(0, window - len(samples))))
    shape = np.hanning(window + 1)[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop] * shape
    return np.maximum(np.abs(np.fft.rfft(frames, size)) / (shape.sum() / 2), 10 ** (FLOOR_DB / 20))
