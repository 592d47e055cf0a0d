"""Times as machines give them, drawn from distributions: for arms without processes."""

import numpy as np

from workbench.measure.verdict import Pairs

SPREAD = 0.02


def times_ms(kind: str, rounds: int, rng: np.random.Generator, factor: float = 1.0) -> np.ndarray:
    """``rounds`` times of an arm that takes about 100 ms times ``factor``."""
    logs = SPREAD * rng.standard_normal(rounds)
    if kind == "outliers":  # one in ten is late, by 30 % on average
        logs += (rng.random(rounds) < 0.1) * rng.exponential(0.3, rounds)
    if kind == "bimodal":  # two clock speeds, 4 % apart
        logs += (rng.random(rounds) < 0.4) * 0.04
    if kind == "skewed":
        logs = rng.gamma(2, SPREAD, rounds)
    return 100 * factor * np.exp(logs)


def drift(rounds: int) -> np.ndarray:
    """What all arms share: a machine that becomes 20 % slower, and slower still every minute."""
    position = np.linspace(0, 1, rounds)
    return np.exp(0.2 * position + 0.05 * np.sin(40 * position))


KINDS = ("normal", "outliers", "bimodal", "skewed", "drift")


def started_pair_ms(kind, parts, rng, factor=1.0, process_spread=0.0):
    """As ``pair_ms``, in processes that differ by ``process_spread`` for as long as they live."""
    rounds = parts[-1].stop
    pairs = np.stack(pair_ms(kind, rounds, rng, factor))
    for part in parts:
        pairs[:, part.start : part.stop] *= np.exp(process_spread * rng.standard_normal((2, 1)))
    starts = [number for number, part in enumerate(parts) for _ in part]
    return Pairs(*pairs.tolist(), starts)


def pair_ms(kind: str, rounds: int, rng: np.random.Generator, factor: float = 1.0):
    """Paired times of a baseline and of an arm that takes ``factor`` times as long."""
    shared = drift(rounds) if kind == "drift" else 1.0
    baseline = times_ms(kind, rounds, rng) * shared
    return baseline, times_ms(kind, rounds, rng, factor) * shared
