"""Did the sound change: log-mel distance, token agreement, levels.

The log-mel spectrogram is the one of Whisper and most vocoder papers, scaled to 24 kHz: Hann
windows of 1024 samples (43 ms) every 256 (11 ms), 80 triangular bands on Slaney's mel scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from workbench.audio import AUDIBLE_DBFS, Audio
from workbench.errors import InputError

WINDOW = 1024  # samples a frame
HOP = 256  # samples from frame to frame
MEL_BANDS = 80
RUMBLE_HZ = 50.0  # the lowest voices speak above 70 Hz
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
    if reference.rate_hz != other.rate_hz:
        raise InputError(
            f"audio at {reference.rate_hz} Hz against {other.rate_hz} Hz",
            "resample to one rate first",
        )
    common = min(len(reference), len(other))
    if not common:
        raise InputError("a clip without samples has no spectrum", "pass audio that holds sound")
    difference = log_mel(Audio(reference.samples[:common], reference.rate_hz)) - log_mel(
        Audio(other.samples[:common], other.rate_hz)
    )
    return float(np.sqrt(np.mean(difference**2, axis=0)).mean())


def max_difference(reference: Audio, other: Audio) -> float:
    """Largest absolute difference of two clips' samples; the shorter goes on as silence."""
    length = max(len(reference), len(other))
    padded = [np.pad(clip.samples, (0, length - len(clip))) for clip in (reference, other)]
    return float(np.abs(padded[0] - padded[1]).max(initial=0.0))


@dataclass(frozen=True)
class TokenAgreement:
    """How far two codes agree.

    ``share`` of equal tokens, frames that only one has counted as unequal; ``first_divergence`` is
    the first frame with a difference, None where both are equal.
    """

    share: float
    first_divergence: int | None
    frames: int
    other_frames: int

    @property
    def equal(self) -> bool:
        """Whether every token is the same and both are as long."""
        return self.first_divergence is None


def token_agreement(reference: np.ndarray, other: np.ndarray) -> TokenAgreement:
    """Compares codes ``[K, T]`` with codes ``[K, T']``."""
    if reference.ndim != 2 or other.ndim != 2 or len(reference) != len(other):
        raise InputError(
            f"codes of shapes {reference.shape} and {other.shape}", "pass [K, T] with the same K"
        )
    frames, other_frames = reference.shape[1], other.shape[1]
    common = min(frames, other_frames)
    equal = reference[:, :common] == other[:, :common]
    broken = np.flatnonzero(~equal.all(axis=0))
    if len(broken):
        first: int | None = int(broken[0])
    else:
        first = None if frames == other_frames else common
    tokens = max(frames, other_frames) * len(reference)
    return TokenAgreement(
        float(equal.sum() / tokens) if tokens else 1.0, first, frames, other_frames
    )


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


def _rumble_db(audio: Audio) -> float:
    energy = np.abs(np.fft.rfft(audio.samples)) ** 2 if len(audio) else np.zeros(1)
    energy[1:] *= 2  # each stands for its negative frequency as well
    low = energy[np.fft.rfftfreq(len(audio) or 1, 1 / audio.rate_hz) < RUMBLE_HZ].sum()
    return 10 * float(np.log10(low / energy.sum())) if low > 0 else float("-inf")


@lru_cache(maxsize=4)
def _cached_filterbank(rate_hz: int) -> np.ndarray:
    return mel_filterbank(rate_hz)


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    break_mel = _BREAK_HZ / _HZ_PER_MEL
    above = _BREAK_HZ * np.exp(_LOG_STEP * (mel - break_mel))
    return np.where(mel < break_mel, mel * _HZ_PER_MEL, above)
