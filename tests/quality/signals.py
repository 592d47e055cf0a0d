"""Signals whose measures are known."""

import numpy as np

from workbench.audio import Audio

RATE_HZ = 24_000


def tone(hz: float, seconds: float = 1.0, level: float = 1.0) -> Audio:
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return Audio(level * np.sin(2 * np.pi * hz * time_s), RATE_HZ)


def noise(seconds: float = 1.0, level: float = 0.1, seed: int = 0) -> Audio:
    samples = np.random.default_rng(seed).normal(size=int(seconds * RATE_HZ))
    return Audio(level * samples, RATE_HZ)
