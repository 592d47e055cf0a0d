"""Training chat-nano: loop, moving average of the weights, held-out loss along the way."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from workbench.finetune.loop import Loop, Loss
from workbench.finetune.nano import checkpoints
from workbench.finetune.nano.chat import build_chat
from workbench.finetune.nano.chat_data import (
    IGNORED,
    DataRecipe,
    DialogueSource,
    collate,
    message,
)
from workbench.finetune.nano.dialogues import held_out_pairs
from workbench.finetune.nano.language_training import EMA_DECAY, follow

STATE = "chat"


@dataclass(frozen=True)
class ChatRecipe:
    """Rates of training."""

    peak_rate: float = 2e-3
    warmup_steps: int = 200
    weight_decay: float = 0.05
    check_every_steps: int = 1000
    check_pairs: int = 200
    seed: int = 41
    data: DataRecipe = field(default_factory=DataRecipe)


def train_chat(
    folder: Path,
    config: Any,
    tokenizer: Any,
    recipe: ChatRecipe,
    clock: checkpoints.Clock,
    device: str = "cpu",
) -> bool:
    """Trains into ``folder/chat.pt``; True when all is done."""
    path = folder / f"{STATE}.pt"
    torch.manual_seed(recipe.seed)
    model = build_chat(config).to(device).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=recipe.weight_decay
    )
    average = {name: value.detach().clone() for name, value in model.state_dict().items()}
    if stored := checkpoints.load(path):
        model.load_state_dict(stored["model"])
        optimizer.load_state_dict(stored["optimizer"])
        average = {name: value.to(device) for name, value in stored["average"].items()}
        clock.resume(stored["clock"])
    source = DialogueSource(tokenizer, recipe.data, recipe.seed)

    def store() -> None:
        checkpoints.save(
            path,
            model=model.state_dict(),
            average=average,
            optimizer=optimizer.state_dict(),
            clock=clock.state(),
        )

    def loss() -> Loss:
        # Each step's batch is its own, so that a resumed run sees what a whole one sees.
        ids, targets = source.batch(random.Random(recipe.seed * 1_000_003 + clock.step))
        with checkpoints.autocast(device):
            value = chat_loss(model, ids.to(device), targets.to(device))
        return value, {"token": value}

    def after(bar: tqdm[Any]) -> None:
        follow(average, model, min(EMA_DECAY, clock.step / (clock.step + 10)))
        if clock.step % recipe.check_every_steps == 0:
            held_out = held_out_loss(config, average, tokenizer, recipe.check_pairs, device)
            checkpoints.record(folder, "chat-check", clock, {"token": held_out})
            bar.write(f"step {clock.step}: {held_out:.3f} on held-out questions")
            clock.start()  # checking is no training

    loop = Loop(
        STATE, folder, clock, optimizer, recipe.peak_rate, recipe.warmup_steps, store, after
    )
    return loop.run(loss)


def chat_loss(model: Any, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the next tokens ``targets`` ``[B, N]`` after ``ids`` ``[B, N]``."""
    logits = model(input_ids=ids, use_cache=False).logits
    return nn.functional.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED
    )


@torch.no_grad()
def held_out_loss(
    config: Any, average: dict[str, torch.Tensor], tokenizer: Any, pairs: int, device: str
) -> float:
    """The averaged weights' loss on questions that training never sees."""
    model = build_chat(config).to(device).eval()
    model.load_state_dict(average)
    rows = [
        [
            *message(tokenizer, "user", pair.question),
            *message(tokenizer, "assistant", pair.answer),
        ]
        for pair in held_out_pairs(pairs)
    ]
    ids, targets = collate(rows, tokenizer.pad_token_id)
    return float(chat_loss(model, ids.to(device), targets.to(device)))
