"""``train_chat_nano``: the chat model from nothing, stage by stage, each can be resumed."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from workbench.errors import InputError
from workbench.files import write_json
from workbench.finetune.nano import CHAT_STAGES, checkpoints
from workbench.finetune.nano.card import Facts
from workbench.finetune.nano.chat import build_chat, build_tokenizer, chat_config
from workbench.finetune.nano.chat_card import chat_card
from workbench.finetune.nano.chat_evaluate import evaluate_chat
from workbench.finetune.nano.chat_export import export_chat
from workbench.finetune.nano.chat_training import STATE, ChatRecipe, train_chat

RESULTS = "chat-results.json"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out."""

    steps: int = 8_000  # some 30 minutes of one core
    questions: int = 300  # of the evaluation
    changes: dict[str, Any] = field(default_factory=dict)  # of the architecture
    training: ChatRecipe = field(default_factory=ChatRecipe)


def train_chat_nano(
    out: Path,
    stage: str = "all",
    minutes: float | None = None,
    device: str = "cpu",
    resume: bool = True,
    threads: int | None = None,
    recipe: Recipe | None = None,
) -> dict[str, Any]:
    """Makes chat-nano in ``out / "models"``; arguments as ``train_nano``'s.

    Raises InputError for an unknown stage, or a stage whose inputs are missing.
    """
    if stage not in CHAT_STAGES:
        raise InputError(f"no stage {stage!r}", f"use one of {', '.join(CHAT_STAGES)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device here", "train with device 'cpu'")
    if threads is not None:
        torch.set_num_threads(threads)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(out, recipe or Recipe(), device, minutes, resume)
    chosen = CHAT_STAGES[1:] if stage == "all" else (stage,)
    summary: dict[str, Any] = {"out": str(out), "stages": {}}
    for name in chosen:
        started = time.monotonic()
        result = run.stages[name]()
        summary["stages"][name] = result | {"seconds": round(time.monotonic() - started, 1)}
        if result.get("finished") is False:
            summary["next"] = f"call again: {name} isn't finished"
            break
    return summary


class _Run:
    """One call's folder, recipe and limits; a method for each stage."""

    def __init__(
        self, out: Path, recipe: Recipe, device: str, minutes: float | None, resume: bool
    ) -> None:
        self.out, self.recipe, self.device, self.resume = out, recipe, device, resume
        self.session_s = math.inf if minutes is None else minutes * 60
        self.tokenizer = build_tokenizer()
        self.stages: dict[str, Callable[[], dict[str, Any]]] = {
            "model": self.model,
            "evaluate": self.evaluate,
            "export": self.export,
        }

    def model(self) -> dict[str, Any]:
        if not self.resume:
            (self.out / f"{STATE}.pt").unlink(missing_ok=True)
        clock = checkpoints.Clock(total_steps=self.recipe.steps, session_s=self.session_s)
        finished = train_chat(
            self.out, self._config(), self.tokenizer, self.recipe.training, clock, self.device
        )
        return {"finished": finished, **clock.state()}

    def evaluate(self) -> dict[str, Any]:
        results = evaluate_chat(self._trained(), self.tokenizer, self.recipe.questions)
        write_json(self.out / RESULTS, results)
        return {name: results[name]["value"] for name in ("right", "ended", "ends")}

    def export(self) -> dict[str, Any]:
        path = self.out / RESULTS
        results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        model = self._trained()
        card = chat_card(Facts.read(self.out, {}), results, model)
        return {"model": str(export_chat(model, self.tokenizer, self.out / "models", card))}

    def _config(self) -> Any:
        return chat_config(self.tokenizer, **self.recipe.changes)

    def _trained(self) -> Any:
        stored = checkpoints.load(self.out / f"{STATE}.pt")
        if stored is None:
            raise InputError(f"{self.out} has no {STATE}.pt yet", "run the stage 'model' first")
        model = build_chat(self._config())
        model.load_state_dict(stored["average"])
        return model.eval()
