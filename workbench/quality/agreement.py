"""Are two clips the same: their codes token by token, their samples one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.audio import Audio
from workbench.errors import InputError

_NO_TOKEN = -1  # stands for a codebook that only the other has


def max_difference(reference: Audio, other: Audio) -> float:
    """Largest absolute difference of two clips' samples; the shorter goes on as silence."""
    length = max(len(reference), len(other))
    padded = [np.pad(clip.samples, (0, length - len(clip))) for clip in (reference, other)]
    return float(np.abs(padded[0] - padded[1]).max(initial=0.0))


def identical(reference: Audio, other: Audio) -> bool:
    """Whether both have the same rate and the same samples, bit for bit."""
    return (
        reference.rate_hz == other.rate_hz
        and reference.samples.tobytes() == other.samples.tobytes()
    )


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
    """Compares codes ``[K, T]`` with codes ``[K', T']``; what only one has counts as unequal."""
    if reference.ndim != 2 or other.ndim != 2:
        raise InputError(f"codes of shapes {reference.shape} and {other.shape}", "pass [K, T]")
    frames, other_frames = reference.shape[1], other.shape[1]
    common = min(frames, other_frames)
    codebooks = max(len(reference), len(other))
    equal = _padded(reference, codebooks)[:, :common] == _padded(other, codebooks)[:, :common]
    broken = np.flatnonzero(~equal.all(axis=0))
    if len(broken):
        first: int | None = int(broken[0])
    else:
        first = None if frames == other_frames else common
    tokens = max(frames, other_frames) * codebooks
    return TokenAgreement(
        float(equal.sum() / tokens) if tokens else 1.0, first, frames, other_frames
    )


def _padded(codes: np.ndarray, codebooks: int) -> np.ndarray:
    missing = codebooks - len(codes)
    return np.pad(codes, ((0, missing), (0, 0)), constant_values=_NO_TOKEN)
