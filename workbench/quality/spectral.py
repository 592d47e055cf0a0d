"""Did the sound change: the log-mel spectrogram and the distance between two.

It is the one of Whisper and most vocoder papers, scaled to 24 kHz: Hann
windows of 1024 samples (43 ms) every 256 (11 ms), 80 triangular bands on Slaney's mel scale.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from workbench.audio import Audio
from workbench.errors import InputError

WINDOW = 1024  # samples a frame
HOP = 256  # samples from frame to frame
MEL_BANDS = 80
FLOOR_DB = -80.0  # bands below this power (re full scale) count as this: nobody hears the rest

# Slaney's mel scale: linear below 1 kHz, logarithmic above (Auditory Toolbox, 1998).
_HZ_PER_MEL = 200 / 3
_BREAK_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27


def hz_to_mel(hz: float) -> float:
    """Slaney mel of a frequency; equal steps of it are the bands' spacing."""
    if hz < _BREAK_HZ:
        return hz / _HZ_PER_MEL
    return float(_BREAK_HZ / _HZ_PER_MEL + np.log(hz / _BREAK_HZ) / _LOG_STEP)


def mel_filterbank(rate_hz: int, bands: int = MEL_BANDS, window: int = WINDOW) -> np.ndarray:
    """Triangular filters ``[bands, window // 2 + 1]`` from 0 to rate / 2, each with a peak of 1."""
    edges = _mel_to_hz(np.linspace(0, hz_to_mel(rate_hz / 2), bands + 2))
    bins = np.linspace(0, rate_hz / 2, window // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.clip(np.minimum(rising, falling), 0, None)


def log_mel(audio: Audio) -> np.ndarray:
    """``[bands, frames]`` in dB of a full-scale sine, floored at ``FLOOR_DB``."""
    samples = np.pad(audio.samples.astype(np.float64), (0, max(0, WINDOW - len(audio))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    window = np.hanning(WINDOW + 1)[:-1]
    # A full-scale sine has the magnitude sum(window) / 2 in its bin.
    power = np.abs(np.fft.rfft(frames * window)) ** 2 / (window.sum() / 2) ** 2
    mel = _cached_filterbank(audio.rate_hz) @ power.T
    return 10 * np.log10(np.maximum(mel, 10 ** (FLOOR_DB / 10)))


def log_mel_distance_db(reference: Audio, other: Audio) -> float:
    """Mean over frames of the root-mean-square difference between the bands, in dB.

    0 for equal audio; a change of level by x dB gives about x. Only the time that both have in
    common counts; compare the durations as well.
    """
    first, second = common_part(reference, other)
    difference = log_mel(Audio(first, reference.rate_hz)) - log_mel(Audio(second, other.rate_hz))
    return float(np.sqrt(np.mean(difference**2, axis=0)).mean())


def common_part(reference: Audio, other: Audio) -> tuple[np.ndarray, np.ndarray]:
    """Samples ``[T]`` of both, cut to the shorter one's length.

    Raises InputError for clips of different rates or without samples.
    """
    if reference.rate_hz != other.rate_hz:
        raise InputError(
            f"audio at {reference.rate_hz} Hz against {other.rate_hz} Hz",
            "resample to one rate first",
        )
    common = min(len(reference), len(other))
    if not common:
        raise InputError("a clip without samples has no spectrum", "pass audio that holds sound")
    return reference.samples[:common], other.samples[:common]


@lru_cache(maxsize=4)
def _cached_filterbank(rate_hz: int) -> np.ndarray:
    return mel_filterbank(rate_hz)


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    break_mel = _BREAK_HZ / _HZ_PER_MEL
    above = _BREAK_HZ * np.exp(_LOG_STEP * (mel - break_mel))
    return np.where(mel < break_mel, mel * _HZ_PER_MEL, above)
