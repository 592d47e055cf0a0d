"""How well a speaker encoder tells speakers apart, and how alike groups of clips are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.errors import InputError

RESAMPLES = 500


@dataclass(frozen=True)
class EqualErrorRate:
    """The rate at which as many pairs of one speaker are refused as pairs of two are accepted.

    ``threshold`` is the similarity at which that is so; ``interval`` the 95 % bootstrap over
    speakers, whose clips belong together. ``same`` and ``different`` count the pairs.
    """

    value: float
    interval: tuple[float, float]
    threshold: float
    speakers: int
    clips: int
    same: int
    different: int


def equal_error_rate(
    embeddings: np.ndarray, speakers: Sequence[str], seed: int = 0
) -> EqualErrorRate:
    """Equal error rate over all pairs of clips: unit ``embeddings`` ``[N, D]``, each's speaker.

    Raises InputError for fewer than two speakers, or none with two clips.
    """
    if len(embeddings) != len(speakers):
        raise InputError(
            f"{len(embeddings)} embeddings of {len(speakers)} speakers", "name each clip's speaker"
        )
    names, numbers = np.unique(np.asarray(speakers), return_inverse=True)
    first, second = np.triu_indices(len(numbers), 1)
    one, other = numbers[first], numbers[second]
    scores = (embeddings @ embeddings.T)[first, second]
    order = np.argsort(scores, kind="stable")
    scores, one, other = scores[order], one[order], other[order]
    same = one == other
    if not same.any() or same.all():
        raise InputError(
            f"{len(numbers)} clips of {len(names)} speakers",
            "pass at least two speakers, one of them with two clips",
        )
    value, threshold = _crossing(scores, same, np.ones(len(scores)))
    source = np.random.default_rng(seed)
    found = []
    for _ in range(RESAMPLES):
        drawn = np.bincount(source.integers(len(names), size=len(names)), minlength=len(names))
        # A speaker drawn twice isn't compared with itself as another one.
        weights = np.where(same, drawn[one], drawn[one] * drawn[other]).astype(np.float64)
        if weights[same].any() and weights[~same].any():
            found.append(_crossing(scores, same, weights)[0])
    low, high = np.percentile(found, [2.5, 97.5])
    return EqualErrorRate(
        value,
        (float(low), float(high)),
        threshold,
        len(names),
        len(numbers),
        int(same.sum()),
        int((~same).sum()),
    )


def similarity_matrix(
    rows: Mapping[str, np.ndarray], columns: Mapping[str, np.ndarray] | None = None
) -> np.ndarray:
    """Mean similarity of each group's clips to each other group's: ``[R, C]``.

    Groups hold unit embeddings ``[n, D]``. Without ``columns`` the groups are compared among
    themselves, and no clip with itself (NaN for a group of one).
    """
    others = rows if columns is None else columns
    found = np.empty((len(rows), len(others)))
    for r, (row, mine) in enumerate(rows.items()):
        for c, (column, theirs) in enumerate(others.items()):
            cosines = np.asarray(mine) @ np.asarray(theirs).T
            if columns is None and row == column:
                cosines = cosines[~np.eye(len(cosines), dtype=bool)]
            found[r, c] = cosines.mean() if cosines.size else np.nan
    return found


def _crossing(scores: np.ndarray, same: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Error rate and score where both kinds of error are nearest; ``scores`` rise."""
    refused = np.cumsum(np.where(same, weights, 0.0))
    accepted = np.cumsum(np.where(same, 0.0, weights))
    refused /= refused[-1]
    accepted = 1 - accepted / accepted[-1]
    place = int(np.argmin(np.abs(refused - accepted)))
    return float((refused[place] + accepted[place]) / 2), float(scores[place])
