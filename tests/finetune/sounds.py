"""Recordings for tests: short noise with words beside it."""

from pathlib import Path

import numpy as np

from workbench.audio import Audio
from workbench.finetune.recordings import Recording, write_recordings

WORDS = (
    "good morning",
    "the red house",
    "how are you",
    "two boats",
    "see you soon",
    "a cup of tea",
)


def recordings(folder: Path, count: int = 6, seconds: float = 0.5) -> list[Recording]:
    """``count`` recordings of some ``seconds``, each its own."""
    random = np.random.default_rng(0)
    clips = []
    for number in range(count):
        samples = random.standard_normal(round(24_000 * (seconds + 0.08 * (number % 3)))) * 0.1
        clips.append((WORDS[number % len(WORDS)], Audio(samples.astype(np.float32), 24_000)))
    return write_recordings(folder, clips)
