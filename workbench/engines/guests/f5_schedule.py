"""Where the steps of F5-TTS's flow matching lie, between noise (0) and speech (1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Empirically pruned steps (arXiv 2505.19931), in 32nds: close together where the flow bends most.
PRUNED: dict[int, tuple[int, ...]] = {
    5: (0, 2, 4, 8, 16, 32),
    6: (0, 2, 4, 6, 8, 16, 32),
    7: (0, 2, 4, 6, 8, 16, 24, 32),
    10: (0, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32),
    12: (0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32),
    16: (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32),
}


def timesteps(steps: int, *, epss: bool = True, sway: float | None = -1.0) -> np.ndarray:
    """The ``steps + 1`` times from 0 to 1 at which the flow is evaluated or ends.

    ``sway`` moves them (F5-TTS, arXiv 2410.06885): towards the start where negative.
    """
    pruned: Sequence[int] | None = PRUNED.get(steps) if epss else None
    times = np.linspace(0, 1, steps + 1) if pruned is None else np.array(pruned) / 32
    if sway is not None:
        times = times + sway * (np.cos(np.pi / 2 * times) - 1 + times)
    return times
