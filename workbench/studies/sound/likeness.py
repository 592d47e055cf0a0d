"""How alike two arms' clips are, and what each arm's clips are like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.audio import Audio
from workbench.engines.speech import Speech
from workbench.errors import InputError
from workbench.quality.agreement import identical, max_difference, token_agreement
from workbench.quality.levels import levels, loudness_lufs
from workbench.quality.multi_scale import multi_scale_distance
from workbench.quality.spectral import log_mel_distance_db


@dataclass(frozen=True)
class Likeness:
    """``clips`` pairs of the same text and seed.

    ``equal`` have the same codes, ``identical`` the same samples as well, bit for bit. ``share``
    is the mean share of equal tokens. ``first_divergence`` is the median first frame that
    differs, of the pairs that do. ``max_difference`` is the largest difference of samples in
    pairs of equal codes. The distances are medians over the pairs that have sound, over the time
    both have in common; once codes differ, the words come at other moments, and the distances
    are about as large as between two readings of one sentence.
    """

    clips: int
    equal: int
    identical: int
    share: float
    first_divergence: float | None
    max_difference: float | None
    log_mel_db: float | None
    spectral_convergence: float | None
    log_magnitude: float | None


@dataclass(frozen=True)
class Traits:
    """What an arm's clips are like: how many ``ended`` by themselves, how many are ``silent``
    (no sample above -40 dBFS), the share of samples at full scale, their length in all, and the
    median integrated loudness (None where none is loud and long enough to have one).
    """

    clips: int
    ended: int
    silent: int
    clipped_share: float
    duration_s: float
    loudness_lufs: float | None


def likeness(before: Sequence[Speech], after: Sequence[Speech]) -> Likeness:
    """Compares clips pair by pair. InputError where they are not of the same texts and seeds."""
    wanted, found = ([(clip.text, clip.seed) for clip in clips] for clips in (before, after))
    if not before or wanted != found:
        raise InputError(
            f"{len(before)} and {len(after)} clips that are no pairs",
            "have both arms speak the same texts with the same seeds",
        )
    pairs = list(zip(before, after, strict=True))
    tokens = [token_agreement(a.codes, b.codes) for a, b in pairs]
    equal = [pair for pair, token in zip(pairs, tokens, strict=True) if token.equal]
    distances = np.array([_distances(a, b) for a, b in pairs if len(a) and len(b)]).reshape(-1, 3)
    log_mel_db, convergence, magnitude = map(_median, distances.T)
    return Likeness(
        clips=len(pairs),
        equal=len(equal),
        identical=sum(identical(a, b) for a, b in equal),
        share=float(np.mean([token.share for token in tokens])),
        first_divergence=_median(
            [t.first_divergence for t in tokens if t.first_divergence is not None]
        ),
        max_difference=max((max_difference(a, b) for a, b in equal), default=None),
        log_mel_db=log_mel_db,
        spectral_convergence=convergence,
        log_magnitude=magnitude,
    )


def traits(clips: Sequence[Speech]) -> Traits:
    """What ``clips`` are like on their own."""
    samples = sum(len(clip) for clip in clips)
    clipped = sum(levels(clip).clipped_samples for clip in clips)
    loudness = [found for clip in clips if (found := loudness_lufs(clip)) is not None]
    return Traits(
        clips=len(clips),
        ended=sum(clip.ended == "eos" for clip in clips),
        silent=sum(is_silent(clip) for clip in clips),
        clipped_share=clipped / samples if samples else 0.0,
        duration_s=float(sum(clip.duration_s for clip in clips)),
        loudness_lufs=_median(loudness),
    )


def is_silent(clip: Audio) -> bool:
    """Whether nothing in it can be heard."""
    return clip.audible_onset_s is None


def _distances(before: Audio, after: Audio) -> tuple[float, float, float]:
    if identical(before, after):
        return 0.0, 0.0, 0.0
    scales = multi_scale_distance(before, after)
    return (
        log_mel_distance_db(before, after),
        scales.spectral_convergence,
        scales.log_magnitude,
    )


def _median(values: Sequence[float] | np.ndarray) -> float | None:
    return float(np.median(values)) if len(values) else None
