"""Training csm-nano on cached codes: loop, moving average of the weights, held-out losses."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from workbench.finetune.loop import Loop, Loss
from workbench.finetune.nano import checkpoints
from workbench.finetune.nano.context_check import context_losses
from workbench.finetune.nano.language import (
    PHONE_WEIGHT,
    PhoneScaffold,
    alignment_loss,
    build_language,
    language_loss,
)
from workbench.finetune.nano.language_data import BUCKET, Batch, CodeSource, DataRecipe

SAVE_EVERY_S = 120.0
EMA_DECAY = 0.999
CHECK_EVERY_STEPS = 200


@dataclass(frozen=True)
class LanguageRecipe:
    """Rates of language-model training."""

    peak_rate: float = 1.5e-3
    warmup_steps: int = 300
    weight_decay: float = 0.05
    depth_share: float = 0.6  # of the frames that the depth decoder trains on
    phone_weight: float = PHONE_WEIGHT  # none for a model that speaks already
    average_decay: float = EMA_DECAY  # of the moving average of the weights, which is what is kept
    seed: int = 23
    data: DataRecipe = field(default_factory=DataRecipe)


def train_language(
    folder: Path,
    codes: Path,
    config: Any,
    recipe: LanguageRecipe,
    clock: checkpoints.Clock,
    device: str = "cpu",
    name: str = "language",
) -> bool:
    """Trains into ``folder/<name>.pt``; True when the whole budget is used.

    With the name ``alignment`` the frames are phones instead of codes: it needs no codec, so it
    can run while the codec trains, and ``language`` starts from its result where there is one.
    """
    path = folder / f"{name}.pt"
    torch.manual_seed(recipe.seed)
    model = build_language(config).to(device)
    scaffold = PhoneScaffold(config.hidden_size).to(device)
    parameters = [*model.parameters(), *scaffold.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, lr=1e-3, betas=(0.9, 0.98), weight_decay=recipe.weight_decay
    )
    average = {name: value.detach().clone() for name, value in model.state_dict().items()}
    stored = checkpoints.load(path)
    if stored:
        model.load_state_dict(stored["model"])
        scaffold.load_state_dict(stored["scaffold"])
        optimizer.load_state_dict(stored["optimizer"])
        average = {name: value.to(device) for name, value in stored["average"].items()}
        clock.resume(stored["clock"])
    elif name == "language" and (start := checkpoints.load(folder / "alignment.pt")):
        model.load_state_dict(start["average"])
        scaffold.load_state_dict(start["scaffold"])
        average = {key: value.to(device) for key, value in start["average"].items()}
    source = CodeSource(codes, recipe.data)
    batches = BatchQueue(source, recipe.seed)

    def store() -> None:
        checkpoints.save(
            path,
            model=model.state_dict(),
            average=average,
            scaffold=scaffold.state_dict(),
            optimizer=optimizer.state_dict(),
            clock=clock.state(),
        )
        source.refresh()  # speech that was made meanwhile

    def loss() -> Loss:
        batch = batches.at(clock.step).to(device)
        checkpoints.batch_random(recipe.seed, clock.step)
        with checkpoints.autocast(device):
            if name == "alignment":
                return alignment_loss(model, scaffold, batch)
            return language_loss(model, scaffold, batch, recipe.depth_share, recipe.phone_weight)

    def after(bar: tqdm[Any]) -> None:
        follow(average, model, min(recipe.average_decay, clock.step / (clock.step + 10)))
        if name == "language" and source.nameless and clock.step % CHECK_EVERY_STEPS == 0:
            losses = context_losses(model, scaffold, source, device)
            means = {key: float(value) for key, value in losses.items()}
            checkpoints.record(folder, "context", clock, means)
            bar.write(f"after {clock.step} steps: {checkpoints.as_text(means)}")
            clock.start()

    loop = Loop(
        name,
        folder,
        clock,
        optimizer,
        recipe.peak_rate,
        recipe.warmup_steps,
        store,
        after,
        save_every_s=SAVE_EVERY_S,
    )
    return loop.run(loss)


class BatchQueue:
    """Step ``n``'s batch, whatever step training resumed at."""

    def __init__(self, source: CodeSource, seed: int) -> None:
        self._source, self._seed = source, seed
        self._pool: deque[Batch] = deque()
        self._filled = -1

    def at(self, step: int) -> Batch:
        """The batch of ``step``; steps must be asked for in order."""
        number = step // BUCKET
        if number != self._filled:
            self._pool = deque(
                self._source.pool(checkpoints.batch_random(self._seed, 1_000_000 + number))
            )
            self._filled = number
            for _ in range(step % BUCKET):
                self._pool.popleft()
        return self._pool.popleft()


@torch.no_grad()
def follow(average: dict[str, torch.Tensor], model: Any, decay: float) -> None:
    """Moves the average weights towards the model's."""
    for name, value in model.state_dict().items():
        if value.dtype.is_floating_point:
            average[name].lerp_(value, 1 - decay)
