"""Training that can stop at any time: its clock, its batches' randomness, its saved state."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.files import atomic_path

PAUSE_S = 60.0  # a step that took longer was a process held up, which is no training


def training_s() -> float:
    """A clock that stands still while this process is held up, where that can be told.

    On one thread, it is the processor's time: other programs on the machine don't shorten a
    training. On several, or on a GPU, it is the time that passes.
    """
    single = torch.get_num_threads() == 1 and not torch.cuda.is_initialized()
    return time.process_time() if single else time.monotonic()


@dataclass
class Clock:
    """How far a training run is: in steps where ``total_steps`` is given, else in time.

    ``elapsed_s`` counts time spent training over all sessions. ``session_s`` or
    ``session_steps`` end one session early (the next continues from its checkpoint).
    """

    total_s: float = math.inf
    total_steps: int | None = None
    session_s: float = math.inf
    session_steps: int | None = None  # counted over all sessions, like ``total_steps``
    step: int = 0
    elapsed_s: float = 0.0
    _last: float | None = None
    _session: float = 0.0

    @property
    def fraction(self) -> float:
        """Share of the run that is behind, 0 to 1."""
        if self.total_steps is not None:
            return min(self.step / max(self.total_steps, 1), 1.0)
        return min(self.elapsed_s / self.total_s, 1.0) if self.total_s > 0 else 1.0

    @property
    def finished(self) -> bool:
        """Whether the whole run is done."""
        return self.fraction >= 1.0

    @property
    def session_over(self) -> bool:
        """Whether this session's time is used up."""
        if self.session_steps is not None and self.step >= self.session_steps:
            return True
        return self._session >= self.session_s

    def tick(self) -> None:
        """Counts one step and the time since the last tick or ``start``."""
        now = training_s()
        passed = now - (self._last if self._last is not None else now)
        if passed > PAUSE_S:
            passed = 0.0
        self._last = now
        self.elapsed_s += passed
        self._session += passed
        self.step += 1

    def start(self) -> None:
        """Time before this call doesn't count."""
        self._last = training_s()

    def state(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        return {"step": self.step, "elapsed_s": self.elapsed_s}

    def resume(self, state: dict[str, float]) -> None:
        """Continues from ``state``."""
        self.step, self.elapsed_s = int(state["step"]), float(state["elapsed_s"])


def batch_random(seed: int, step: int) -> np.random.Generator:
    """The randomness of one step's batch: the same after a resume as without one."""
    torch.manual_seed(seed * 1_000_003 + step)
    return np.random.default_rng((seed, step))


def learning_rate(
    fraction: float, step: int, peak: float, warmup_steps: int, flat: float = 0.15
) -> float:
    """Linear warm-up, flat until ``flat`` of the run, then a cosine down to 1 % of ``peak``."""
    warm = min((step + 1) / max(warmup_steps, 1), 1.0)
    after = max(fraction - flat, 0.0) / (1 - flat)
    return peak * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(after, 1.0))))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets ``rate`` in every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = rate


class Averages:
    """Means of the losses since they were last shown."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, parts: dict[str, Tensor]) -> None:
        """Adds one step's values (no synchronization with the device)."""
        for name, value in parts.items():
            self._sums[name] = self._sums.get(name, 0) + value.detach().float()
        self._count += 1

    def means(self) -> dict[str, float]:
        """The means; starts again from nothing."""
        values = {name: float(total) / self._count for name, total in self._sums.items()}
        self._sums, self._count = {}, 0
        return values


def as_text(means: dict[str, float]) -> str:
    """Losses on one line."""
    return " ".join(f"{name} {value:.3f}" for name, value in means.items())


def save(path: Path, **parts: Any) -> None:
    """Writes a checkpoint whole or not at all."""
    with atomic_path(path) as temporary:
        torch.save(parts, temporary)


def load(path: Path) -> dict[str, Any] | None:
    """The checkpoint at ``path``, None where there is none."""
    if not path.is_file():
        return None
    return torch.load(path, map_location="cpu", weights_only=True)


def record(folder: Path, stage: str, clock: Clock, means: dict[str, float]) -> None:
    """Adds a line of mean losses to ``folder/history.jsonl``; the model card's curves."""
    rounded = {name: round(value, 4) for name, value in means.items()}
    line = {"stage": stage, "step": clock.step, "elapsed_s": round(clock.elapsed_s), **rounded}
    with (folder / "history.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def autocast(device: str, enabled: bool = True) -> torch.autocast:
    """bfloat16 where the device computes it quickly (and, as ``enabled`` says, rightly)."""
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=enabled)
