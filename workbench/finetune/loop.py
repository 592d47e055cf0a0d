"""The loop that trains: one step after another until the clock says stop, saving on the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm

from workbench.errors import InputError
from workbench.finetune.nano import checkpoints

Loss = tuple[Tensor, dict[str, Tensor]]  # what is minimized, and the parts that are shown


@dataclass(frozen=True)
class Loop:
    """What a training run needs beside its loss.

    ``name`` is that of its bar and of its lines in ``folder / "history.jsonl"``. The rate warms up
    to ``peak_rate`` and falls as ``checkpoints.learning_rate`` says. ``store`` writes the
    checkpoint, every ``save_every_s`` of training and at the end. ``after`` is called after each
    step (its time counts; ``clock.start()`` takes out what is no training).
    """

    name: str
    folder: Path
    clock: checkpoints.Clock
    optimizer: Optimizer
    peak_rate: float
    warmup_steps: int
    store: Callable[[], None]
    after: Callable[[tqdm[Any]], None] = lambda bar: None
    record_every_steps: int = 100
    save_every_s: float = 60.0

    def run(self, loss: Callable[[], Loss]) -> bool:
        """Calls ``loss`` for each step until the clock ends; True when the whole run is done."""
        clock, optimizer = self.clock, self.optimizer
        parameters = [one for group in optimizer.param_groups for one in group["params"]]
        bar = tqdm(
            desc=self.name, unit="step", initial=clock.step, total=clock.total_steps, mininterval=5
        )
        averages = checkpoints.Averages()
        clock.start()
        saved_s = clock.elapsed_s
        while not clock.finished and not clock.session_over:
            value, parts = loss()
            rate = checkpoints.learning_rate(
                clock.fraction, clock.step, self.peak_rate, self.warmup_steps
            )
            checkpoints.set_learning_rate(optimizer, rate)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            clock.tick()
            averages.add(parts)
            bar.update()
            if clock.step % self.record_every_steps == 0:
                means = averages.means()
                checkpoints.record(self.folder, self.name, clock, means)
                bar.set_postfix_str(f"{clock.elapsed_s:.0f} s, {checkpoints.as_text(means)}")
            self.after(bar)
            if clock.elapsed_s - saved_s > self.save_every_s:
                self.store()
                saved_s = clock.elapsed_s
        self.store()
        bar.close()
        return clock.finished


def history(folder: Path | str) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Curves of a training: ``{"lora": {"first": [(step, loss), …], …}, "lora-check": …}``.

    Raises InputError where nothing was trained."""
    path = Path(folder) / "history.jsonl"
    if not path.is_file():
        raise InputError(f"no history in {folder}", "train first")
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        stage, step = row.pop("stage"), row.pop("step")
        row.pop("elapsed_s")
        for name, value in row.items():
            curves.setdefault(stage, {}).setdefault(name, []).append((step, value))
    return curves
