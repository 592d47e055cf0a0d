"""Training an adapter on cached codes: what a step is, held-out losses, checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from tqdm import tqdm

from workbench.errors import InputError
from workbench.finetune.loop import Loop
from workbench.finetune.lora.adapter import new_adapter
from workbench.finetune.lora.batches import Batch, Loading, Recordings, loader, plan
from workbench.finetune.lora.loss import DEPTH_SHARE, speech_loss
from workbench.finetune.lora.memory import automatic_batch
from workbench.finetune.nano import checkpoints
from workbench.models.csm.load import LoadedCsm

NAME = "lora"
CHECK = f"{NAME}-check"  # of the held-out losses in the history
_CHECKED_SHARE = 1 / 4  # of the frames, whose depth the held-out loss looks at


@dataclass(frozen=True)
class LoraRecipe:
    """Everything that decides what comes out; rank, alpha, epochs and batch are FERN's.

    ``batch`` is in recordings (None: as many as fit into memory). ``held_out_share`` of them are
    never trained on: the adapter that is kept is the one of the epoch with the least loss there.
    ``precision`` ``bf16`` holds the frozen weights in bfloat16, the adapter in float32.
    ``checkpointing`` recomputes each layer in the backward pass: less memory, more time.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    epochs: int = 10
    batch: int | None = 4
    peak_rate: float = 1e-3
    warmup_steps: int = 20
    weight_decay: float = 0.0
    depth_share: float = DEPTH_SHARE
    held_out_share: float = 0.1
    precision: Literal["bf16", "float32"] = "bf16"
    checkpointing: bool = False
    loading: Loading = field(default_factory=Loading)
    seed: int = 51

    def __post_init__(self) -> None:
        for wrong, what in (
            (self.epochs < 1, f"{self.epochs} epochs"),
            (self.batch is not None and self.batch < 1, f"a batch of {self.batch}"),
            (not 0 < self.depth_share <= 1, f"a depth share of {self.depth_share}"),
            (not 0 <= self.held_out_share < 1, f"a held-out share of {self.held_out_share}"),
            (self.precision not in ("bf16", "float32"), f"precision {self.precision!r}"),
        ):
            if wrong:
                raise InputError(what, "use the default, or see `workbench train lora --help`")

    @property
    def dtype(self) -> torch.dtype:
        """The frozen weights' type."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32


class Trainee:
    """A CSM with a fresh adapter, and what one training step of it is."""

    def __init__(self, csm: LoadedCsm, recipe: LoraRecipe) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.device: torch.device = csm.model.lm_head.weight.device
        self.adapter = new_adapter(csm.model, recipe.rank, recipe.alpha, recipe.dropout)
        self.model = self.adapter.get_base_model()
        if recipe.checkpointing:
            model = self.model
            # transformers renamed it, and warns of the old name.
            enable = getattr(model, "activation_checkpointing_enable", None)
            (enable or model.gradient_checkpointing_enable)()
        self.parameters = [one for one in self.model.parameters() if one.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=recipe.peak_rate, weight_decay=recipe.weight_decay
        )
        self.model.train()

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of ``batch`` at ``step``, which alone decides what is drawn at random."""
        checkpoints.batch_random(self.recipe.seed, step)
        source = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        with self._precision():
            return speech_loss(self.model, batch.to(self.device), self.recipe.depth_share, source)

    def step(self, batch: Batch, number: int) -> None:
        """One whole step at the peak rate: for measuring."""
        loss, _ = self.loss(batch, number)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()

    @torch.no_grad()
    def held_out_loss(self, recordings: Recordings) -> dict[str, Tensor]:
        """The losses on ``recordings``, each counting the same."""
        self.model.eval()
        found: list[dict[str, Tensor]] = []
        for index in range(len(recordings)):
            batch = recordings.collate([recordings[index]]).to(self.device)
            with self._precision():
                found.append(speech_loss(self.model, batch, _CHECKED_SHARE)[1])
        self.model.train()
        return {name: torch.stack([one[name] for one in found]).mean() for name in found[0]}

    def state(self) -> dict[str, Tensor]:
        """The adapter's weights, as peft names them, on the CPU."""
        from peft import get_peft_model_state_dict

        state = get_peft_model_state_dict(self.adapter, save_embedding_layers=False)
        return {name: value.detach().cpu().clone() for name, value in state.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        """Puts ``state`` in."""
        from peft import set_peft_model_state_dict

        set_peft_model_state_dict(self.adapter, state)

    def largest_batch(self, recordings: Recordings) -> int:
        """Recordings that fit into memory in one step."""
        lengths = recordings.lengths
        longest = recordings[max(range(len(lengths)), key=lengths.__getitem__)]
        return automatic_batch(
            lambda rows: self.loss(recordings.collate([longest] * rows), 0)[0], self.device
        )

    def _precision(self) -> AbstractContextManager[Any]:
        if self.recipe.precision == "float32":
            return nullcontext()
        return checkpoints.autocast(self.device.type)


def train_adapter(
    folder: Path,
    csm: LoadedCsm,
    training: Recordings,
    held_out: Recordings,
    recipe: LoraRecipe,
    clock: Callable[[int], checkpoints.Clock],
) -> tuple[Trainee, checkpoints.Clock]:
    """Trains into ``folder / "lora.pt"`` as far as ``clock`` (of the number of steps) allows.

    The trainee has the adapter of the epoch with the least held-out loss, or the last one where
    nothing is held out. Raises InputError where the folder holds a training with other settings.
    """
    trainee = Trainee(csm, recipe)
    path = folder / f"{NAME}.pt"
    stored = checkpoints.load(path)
    batch = recipe.batch or (stored and stored["settings"]["batch"])
    batch = batch or trainee.largest_batch(training)
    steps = plan(training.lengths, batch, recipe.epochs, recipe.seed)
    running = clock(len(steps))
    settings = asdict(replace(recipe, batch=batch, loading=Loading()))
    best: dict[str, Any] = {"loss": float("inf"), "epoch": 0, "adapter": {}}
    if stored:
        if stored["settings"] != settings or stored["steps"] != len(steps):
            raise InputError(
                f"{folder} holds a training with other settings or recordings",
                "choose another folder, or start anew with --fresh",
            )
        trainee.load(stored["adapter"])
        trainee.optimizer.load_state_dict(stored["optimizer"])
        running.resume(stored["clock"])
        best = stored["best"]

    def store() -> None:
        checkpoints.save(
            path,
            settings=settings,
            steps=len(steps),
            adapter=trainee.state(),
            optimizer=trainee.optimizer.state_dict(),
            best=best,
            clock=running.state(),
        )

    every = len(steps) // recipe.epochs

    def check(bar: tqdm[Any]) -> None:
        if running.step % every or not len(held_out):
            return
        parts = {name: float(value) for name, value in trainee.held_out_loss(held_out).items()}
        checkpoints.record(folder, CHECK, running, parts)
        if sum(parts.values()) < best["loss"]:
            epoch = running.step // every
            best.update(loss=sum(parts.values()), epoch=epoch, adapter=trainee.state())
        running.start()  # checking is no training

    batches = iter(loader(training, steps[running.step :], recipe.loading, trainee.device))
    Loop(
        NAME,
        folder,
        running,
        trainee.optimizer,
        recipe.peak_rate,
        recipe.warmup_steps,
        store,
        check,
        record_every_steps=max(1, min(every, 100)),
    ).run(lambda: trainee.loss(next(batches), running.step))
    if best["adapter"]:
        trainee.load(best["adapter"])
    return trainee, running
