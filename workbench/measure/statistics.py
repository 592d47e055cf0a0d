"""Samples into figures: percentiles, bootstrap intervals, paired ratios, interleaved trials."""

from __future__ import annotations

import contextlib
import gc
import random
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from workbench.errors import InputError

PERCENTILES = (5, 50, 95, 99)
RESAMPLES = 4_000  # between seeds, the ends of a 95 % interval move by a few % of its width

Key = TypeVar("Key", bound=Hashable)
T = TypeVar("T")


@dataclass(frozen=True)
class Interval:
    """An estimate with its bootstrap interval, from ``n`` samples."""

    value: float
    low: float
    high: float
    n: int
    confidence: float = 0.95

    def __str__(self) -> str:
        return f"{self.value:.4g} ({self.low:.4g}–{self.high:.4g}, n = {self.n})"


@dataclass(frozen=True)
class Ratio(Interval):
    """How many times as fast the other is: above 1 it took less than the baseline."""

    def __str__(self) -> str:
        digits = 1 if self.value >= 2 else 2
        return (
            f"{self.value:.{digits}f}× ({self.low:.{digits}f}–{self.high:.{digits}f}, n = {self.n})"
        )


def percentiles(
    samples: Sequence[float], points: Sequence[float] = PERCENTILES
) -> dict[str, float]:
    """``{"p5": …, "p50": …, …}`` of ``samples``, interpolated linearly between neighbours."""
    values = _checked(samples, at_least=1)
    return {f"p{point:g}": float(np.percentile(values, point)) for point in points}


def bootstrap_interval(
    samples: Sequence[float],
    statistic: Callable[..., Any] = np.median,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """``statistic`` of ``samples`` with its percentile bootstrap interval (Efron 1979).

    ``statistic`` takes an array and ``axis``, as NumPy's do. The percentile method instead of
    scipy's default BCa, because BCa's jackknife is degenerate for a median. With few samples the
    interval is somewhat too narrow: for a median of 5 it spans all of them, and covers 94 %.

    Raises InputError for fewer than two samples: one says nothing about its spread.
    """
    values = _checked(samples, at_least=2)
    draws = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    tail = 50 * (1 - confidence)
    low, high = np.percentile(statistic(values[draws], axis=-1), [tail, 100 - tail])
    return Interval(
        float(statistic(values, axis=-1)), float(low), float(high), len(values), confidence
    )


def share_of(won: int, trials: int, confidence: float = 0.95) -> Interval:
    """A share with its Wilson interval (Wilson 1927), which holds near 0 and 1 too."""
    from scipy.stats import binomtest

    bounds = binomtest(won, trials).proportion_ci(confidence, method="wilson")
    return Interval(won / trials, float(bounds.low), float(bounds.high), trials, confidence)


def paired_ratio(
    baseline: Sequence[float],
    other: Sequence[float],
    confidence: float = 0.95,
    seed: int = 0,
    statistic: Callable[..., Any] = np.median,
) -> Ratio:
    """How many times as fast ``other`` is as ``baseline``, from times taken in pairs.

    Sample i of both comes from the same round, text and seed. The value is the median (or another
    ``statistic``) of baseline_i / other_i, taken of logarithms, so that swapping the two gives
    exactly the inverse; pairs are resampled whole.
    """
    if len(baseline) != len(other):
        raise InputError(
            f"{len(baseline)} samples against {len(other)} make no pairs", "pair them by round"
        )
    pairs = np.stack([_checked(baseline, at_least=2), _checked(other, at_least=2)])
    if not (pairs > 0).all():
        raise InputError("a ratio of times that are not positive", "pass times above zero")
    logs = bootstrap_interval(np.log(pairs[0] / pairs[1]), statistic, confidence, seed)
    low, value, high = (float(np.exp(log)) for log in (logs.low, logs.value, logs.high))
    return Ratio(value, low, high, logs.n, confidence)


def interleaved(
    arms: Mapping[Key, Callable[[], T]],
    trials: int,
    seed: int = 0,
    wrap: Callable[[Iterable[int]], Iterable[int]] = lambda rounds: rounds,
) -> dict[Key, list[T]]:
    """Calls every arm once a round, in a new random order each round; returns what they gave.

    So that drift (clocks, other load) hits all arms alike and sample i of all arms is a pair. An
    arm returns its own measurement, such as a time (``timed``) or a speech. Garbage is collected
    between rounds and never during a call. ``wrap`` sees the rounds pass, for a progress bar.
    """
    if not arms or trials < 1:
        raise InputError(f"{trials} trials of {len(arms)} arms", "pass at least one of each")
    order = list(arms)
    results: dict[Key, list[T]] = {name: [] for name in order}
    shuffle = random.Random(seed).shuffle
    with collector_at_rest():
        for _ in wrap(range(trials)):
            shuffle(order)
            gc.collect()
            for name in order:
                results[name].append(arms[name]())
    return results


def timed(call: Callable[[], Any]) -> Callable[[], float]:
    """An arm that calls ``call`` and returns the wall time it took, in ms."""

    def arm() -> float:
        begin = time.perf_counter_ns()
        call()
        return (time.perf_counter_ns() - begin) / 1e6

    return arm


@contextlib.contextmanager
def collector_at_rest() -> Iterator[None]:
    """Keeps the garbage collector off until the block ends.

    What lives already is frozen, so that a ``gc.collect()`` in the block looks at new objects only
    and takes no time worth naming.
    """
    was_enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


def _checked(samples: Sequence[float], at_least: int) -> np.ndarray:
    values = np.asarray(samples, dtype=np.float64)
    if values.ndim != 1 or len(values) < at_least or not np.isfinite(values).all():
        raise InputError(
            f"samples of shape {values.shape} that may hold NaN",
            f"pass a list of at least {at_least} finite numbers",
        )
    return values
