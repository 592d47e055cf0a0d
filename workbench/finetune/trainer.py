"""transformers' ``Trainer`` as Whisper's and the chat model's fine-tuning use it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from workbench.engines.load import device_called
from workbench.errors import InputError
from workbench.files import write_text

CHECKPOINTS, HISTORY = "checkpoints", "history.jsonl"


@dataclass(frozen=True)
class TrainerRecipe:
    """What decides how a ``Trainer`` trains. ``held_out_share`` of the data is never trained on:
    the weights that are kept are those of the epoch with the least loss there.
    """

    epochs: int = 3
    batch: int = 8
    rate: float = 1e-4
    warmup_steps: int = 10
    weight_decay: float = 0.0
    held_out_share: float = 0.1
    precision: Literal["bf16", "float32"] = "float32"
    checkpointing: bool = False
    workers: int = 0
    seed: int = 61

    def __post_init__(self) -> None:
        for wrong, what in (
            (self.epochs < 1, f"{self.epochs} epochs"),
            (self.batch < 1, f"a batch of {self.batch}"),
            (not 0 < self.held_out_share < 1, f"a held-out share of {self.held_out_share}"),
            (self.precision not in ("bf16", "float32"), f"precision {self.precision!r}"),
        ):
            if wrong:
                raise InputError(what, "use the default")


def arguments(
    make: Any, folder: Path, recipe: TrainerRecipe, device: str | None, **more: Any
) -> Any:
    """``make`` is ``TrainingArguments`` or a subclass; ``more`` are fields of its own.

    Raises InputError where accelerate, which ``Trainer`` stands on, is missing.
    """
    cuda = device_called(device).type == "cuda"
    if recipe.checkpointing:  # transformers renamed it, and warns of the old name
        new = "activation_checkpointing"
        more[new if new in make.__dataclass_fields__ else "gradient_checkpointing"] = True
    try:
        return make(
            output_dir=str(folder / CHECKPOINTS),
            num_train_epochs=recipe.epochs,
            per_device_train_batch_size=recipe.batch,
            per_device_eval_batch_size=recipe.batch,
            learning_rate=recipe.rate,
            lr_scheduler_type="cosine",
            warmup_steps=recipe.warmup_steps,
            weight_decay=recipe.weight_decay,
            bf16=recipe.precision == "bf16",
            dataloader_num_workers=recipe.workers,
            dataloader_pin_memory=cuda,
            use_cpu=not cuda,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            load_best_model_at_end=True,
            logging_steps=1,
            logging_nan_inf_filter=False,
            remove_unused_columns=False,
            report_to="none",
            seed=recipe.seed,
            **more,
        )
    except ImportError as problem:
        raise InputError(f"accelerate is missing: {problem}", "pip install accelerate") from problem


def split(items: list[Any], share: float) -> tuple[list[Any], list[Any]]:
    """What is trained on and what is held out: every n-th item, at least one.

    Raises InputError for fewer than two.
    """
    if len(items) < 2:
        raise InputError(f"{len(items)} examples to learn from", "use at least two")
    every = min(max(2, round(1 / share)), len(items))
    held_out = [one for place, one in enumerate(items) if place % every == every - 1]
    return [one for place, one in enumerate(items) if place % every != every - 1], held_out


def train(trainer: Any, folder: Path, *, resume: bool) -> dict[str, Any]:
    """Trains, from the last checkpoint where there is one; writes the losses to the history.

    Returns the steps and the held-out losses epoch by epoch. The checkpoints go in the end.
    """
    from transformers.trainer_utils import get_last_checkpoint

    checkpoints = folder / CHECKPOINTS
    if not resume:
        shutil.rmtree(checkpoints, ignore_errors=True)
    last = get_last_checkpoint(str(checkpoints)) if checkpoints.is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    lines = []
    for entry in trainer.state.log_history:
        for name, stage in (("loss", "train"), ("eval_loss", "check")):
            if name in entry:
                line = {"stage": stage, "step": entry["step"], "loss": round(entry[name], 5)}
                lines.append(json.dumps({**line, "elapsed_s": 0}))
    write_text(folder / HISTORY, "\n".join(lines) + "\n")
    shutil.rmtree(checkpoints, ignore_errors=True)
    held_out = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    return {"steps": trainer.state.global_step, "held_out": held_out, "resumed": last is not None}
