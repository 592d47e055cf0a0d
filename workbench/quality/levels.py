"""How loud is it: peak, level, loudness, and what is silent, clipped or off centre."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from workbench.audio import AUDIBLE_DBFS, Audio

RUMBLE_HZ = 50.0  # the lowest voices speak above 70 Hz
LOUDNESS_BLOCK_S = 0.4  # BS.1770's gating block: shorter sound has no integrated loudness


@dataclass(frozen=True)
class Levels:
    """Levels in dB of full scale (-inf for silence), and what is silent, clipped or off centre.

    ``offset`` is the mean of the samples, ``rumble_db`` the energy below 50 Hz relative to all:
    neither can be heard, but both take headroom, raise the levels and click at the ends.
    """

    rms_dbfs: float
    peak_dbfs: float
    clipped_samples: int
    leading_silence_s: float
    trailing_silence_s: float
    offset: float
    rumble_db: float


def levels(audio: Audio, silence_dbfs: float = AUDIBLE_DBFS) -> Levels:
    """Levels of ``audio``; a sample at or above full scale counts as clipped.

    Silence is what comes before the first and after the last sample above ``silence_dbfs``; a
    clip without such a sample is silent in full at both ends.
    """
    magnitude = np.abs(audio.samples)
    loud = np.flatnonzero(magnitude > 10 ** (silence_dbfs / 20))
    first, last = (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (len(audio), 0)
    return Levels(
        rms_dbfs=audio.rms_dbfs,
        peak_dbfs=audio.peak_dbfs,
        clipped_samples=int((magnitude >= 1.0).sum()),
        leading_silence_s=first / audio.rate_hz,
        trailing_silence_s=(len(audio) - last) / audio.rate_hz,
        offset=float(audio.samples.mean(dtype=np.float64)) if len(audio) else 0.0,
        rumble_db=_rumble_db(audio),
    )


def loudness_lufs(audio: Audio) -> float | None:
    """Integrated loudness after ITU-R BS.1770-4 (K-weighted, gated), in LUFS.

    None for sound that is shorter than a gating block of 400 ms or nowhere above -70 LUFS, the
    absolute gate. pyloudnorm derives its filters for any sample rate; at 24 kHz a full-scale
    sine of 997 Hz reads -3.06 LUFS, where the recommendation has -3.01.
    """
    if audio.duration_s < LOUDNESS_BLOCK_S:
        return None
    import pyloudnorm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of no blocks: silence
        found = float(
            pyloudnorm.Meter(audio.rate_hz).integrated_loudness(audio.samples.astype(np.float64))
        )
    return found if math.isfinite(found) else None


def _rumble_db(audio: Audio) -> float:
    energy = np.abs(np.fft.rfft(audio.samples)) ** 2 if len(audio) else np.zeros(1)
    energy[1:] *= 2  # each stands for its negative frequency as well
    low = energy[np.fft.rfftfreq(len(audio) or 1, 1 / audio.rate_hz) < RUMBLE_HZ].sum()
    return 10 * float(np.log10(low / energy.sum())) if low > 0 else float("-inf")
