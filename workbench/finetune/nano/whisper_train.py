"""``train_whisper_nano``: the recognizer from nothing, stage by stage, each can be resumed."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from workbench.errors import InputError
from workbench.files import write_json
from workbench.finetune.nano import WHISPER_STAGES, checkpoints
from workbench.finetune.nano.card import Facts
from workbench.finetune.nano.dataset import Shard, generate, shard_numbers
from workbench.finetune.nano.whisper import build_whisper, whisper_config
from workbench.finetune.nano.whisper_card import whisper_card
from workbench.finetune.nano.whisper_evaluate import evaluate_whisper
from workbench.finetune.nano.whisper_export import export_whisper
from workbench.finetune.nano.whisper_speech import code_speech, make_speech, nano_voice
from workbench.finetune.nano.whisper_tokenizer import load_tokenizer
from workbench.finetune.nano.whisper_training import NAME, WhisperRecipe, train_whisper

RESULTS = "whisper-results.json"
_OWN = ("coded", "made")  # folders of speech through the codec, and by csm-nano


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out; 8,500 steps are some 50 minutes of one core."""

    hours_of_speech: float = 10.0
    hours_of_open_speech: float = 0.4  # of words outside the grammar
    shard_utterances: int = 500
    workers: int = 1
    coded_every: int = 3  # one shard in so many goes through the codec, too
    made_shards: int = 4  # that csm-nano speaks
    made_utterances: int = 250  # in each
    steps: int = 8_500
    minutes: float | None = None  # of training, instead of ``steps``
    sentences: int = 200  # of the evaluation
    seed: int = 1
    changes: dict[str, Any] = field(default_factory=dict)  # of the architecture
    training: WhisperRecipe = field(default_factory=WhisperRecipe)


def train_whisper_nano(
    out: Path,
    stage: str = "all",
    minutes: float | None = None,
    hours_of_speech: float | None = None,
    device: str = "cpu",
    resume: bool = True,
    threads: int | None = None,
    recipe: Recipe | None = None,
) -> dict[str, Any]:
    """Makes whisper-nano in ``out / "models"``; arguments as ``train_nano``'s.

    The speech in ``out / "speech"`` may be that of ``train_nano``.

    Raises InputError for an unknown stage, or a stage whose inputs are missing.
    """
    if stage not in WHISPER_STAGES:
        raise InputError(f"no stage {stage!r}", f"use one of {', '.join(WHISPER_STAGES)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device here", "train with device 'cpu'")
    recipe = recipe or Recipe()
    if hours_of_speech is not None:
        recipe = replace(recipe, hours_of_speech=hours_of_speech)
    if threads is not None:
        torch.set_num_threads(threads)
    run = _Run(Path(out), recipe, device, minutes, resume)
    chosen = WHISPER_STAGES[1:] if stage == "all" else (stage,)
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
        self.stages: dict[str, Callable[[], dict[str, Any]]] = {
            "data": self.data,
            "own": self.own,
            "recognizer": self.recognizer,
            "evaluate": self.evaluate,
            "export": self.export,
        }

    def data(self) -> dict[str, Any]:
        recipe = self.recipe
        finished = generate(
            self.out / "speech",
            recipe.hours_of_speech,
            recipe.hours_of_open_speech,
            recipe.seed,
            recipe.workers,
            recipe.shard_utterances,
            self.session_s,
        )
        return {"finished": finished, "shards": len(shard_numbers(self.out / "speech"))}

    def own(self) -> dict[str, Any]:
        self._require_speech()
        recipe = self.recipe
        model = nano_voice()
        codec, model.codec_model = model.codec_model, torch.nn.Identity()
        coded, made = (self.out / name for name in _OWN)
        finished = code_speech(
            codec, self.out / "speech", coded, recipe.coded_every, self.session_s
        ) and make_speech(
            model, codec, made, recipe.made_shards, recipe.made_utterances, self.session_s
        )
        return {"finished": finished}

    def recognizer(self) -> dict[str, Any]:
        self._require_speech()
        if not self.resume:
            (self.out / f"{NAME}.pt").unlink(missing_ok=True)
        minutes = self.recipe.minutes
        clock = checkpoints.Clock(
            total_s=math.inf if minutes is None else minutes * 60,
            total_steps=self.recipe.steps if minutes is None else None,
            session_s=self.session_s,
        )
        tokenizer = self._tokenizer()
        finished = train_whisper(
            self.out,
            [self.out / name for name in ("speech", *_OWN)],
            whisper_config(tokenizer, **self.recipe.changes),
            tokenizer,
            self.recipe.training,
            clock,
            self.device,
        )
        return {"finished": finished, **clock.state()}

    def evaluate(self) -> dict[str, Any]:
        results = evaluate_whisper(self._trained(), self._tokenizer(), self.recipe.sentences)
        write_json(self.out / RESULTS, results)
        return {
            f"{result['implementation']}, {result['run']}": {
                condition: rate["value"] for condition, rate in result["rates"].items()
            }
            for result in results
        }

    def export(self) -> dict[str, Any]:
        path = self.out / RESULTS
        results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        facts = Facts.read(self.out, {})
        made = self.out / "made"
        count = sum(len(Shard.read(made, number)) for number in shard_numbers(made))
        model = self._trained()
        card = whisper_card(facts, results, model, count)
        return {"model": str(export_whisper(model, self._tokenizer(), self.out / "models", card))}

    def _require_speech(self) -> None:
        if not shard_numbers(self.out / "speech"):
            raise InputError(f"{self.out} has no speech yet", "run the stage 'data' first")

    def _tokenizer(self) -> Any:
        return load_tokenizer(self.out / "whisper-tokenizer")

    def _trained(self) -> Any:
        stored = checkpoints.load(self.out / f"{NAME}.pt")
        if stored is None:
            raise InputError(f"{self.out} has no {NAME}.pt yet", "run the stage 'recognizer' first")
        tokenizer = self._tokenizer()
        model = build_whisper(whisper_config(tokenizer, **self.recipe.changes), tokenizer)
        model.load_state_dict(stored["average"])
        return model.eval()
