"""``train_nano``: the nano voice from nothing, stage by stage, each of which can be resumed."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workbench.errors import InputError
from workbench.files import write_json
from workbench.finetune.nano import card, checkpoints
from workbench.finetune.nano.clones import evaluate_clones
from workbench.finetune.nano.codec import codec_config
from workbench.finetune.nano.codec_training import train_codes, train_decoder
from workbench.finetune.nano.codes import encode_all, label_all
from workbench.finetune.nano.dataset import generate, shard_numbers
from workbench.finetune.nano.evaluate import (
    evaluate_codec,
    evaluate_context,
    evaluate_language,
    evaluate_open,
)
from workbench.finetune.nano.export import export_codec, export_language
from workbench.finetune.nano.language import build_language, language_config
from workbench.finetune.nano.language_training import train_language
from workbench.finetune.nano.recipe import Recipe
from workbench.finetune.nano.shipped import adopt


def train_nano(
    out: Path,
    stage: str = "all",
    minutes: float | None = None,
    hours_of_speech: float | None = None,
    device: str = "cpu",
    resume: bool = True,
    threads: int | None = None,
    recipe: Recipe | None = None,
) -> dict[str, Any]:
    """Makes mimi-nano and csm-nano in ``out / "models"``.

    ``minutes`` ends each stage early in this call (evaluation and export excepted); the next
    call continues it from its checkpoint until the recipe's own budget is used.
    ``resume=False`` forgets the stage's checkpoint (the speech stays). Returns what the stages
    did and the figures they measured.

    Raises InputError for an unknown stage, or a stage whose inputs are missing.
    """
    recipe = recipe or Recipe()
    if stage not in ("all", *recipe.stages):
        raise InputError(f"no stage {stage!r}", f"use one of all, {', '.join(recipe.stages)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device here", "train with device 'cpu'")
    if hours_of_speech is not None:
        recipe = replace(recipe, hours_of_speech=hours_of_speech)
    if threads is not None:
        torch.set_num_threads(threads)
    run = _Run(Path(out), recipe, device, minutes, resume)
    chosen = recipe.stages if stage == "all" else (stage,)
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
        self.out, self.recipe, self.device = out, recipe, device
        self.session_s = math.inf if minutes is None else minutes * 60
        self.resume = resume
        self.codec_config = codec_config(**recipe.codec_changes)
        changes = {
            key: dict(value) if isinstance(value, dict) else value
            for key, value in recipe.language_changes.items()
        }
        self.language_config = language_config(self.codec_config, **changes)
        self.stages: dict[str, Callable[[], dict[str, Any]]] = {
            name: getattr(self, name) for name in recipe.stages
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
            recipe.new_voices,
        )
        return {"finished": finished, "shards": len(shard_numbers(self.out / "speech"))}

    def adopt(self) -> dict[str, Any]:
        if not self.resume or not (self.out / "alignment.pt").is_file():
            assert self.recipe.start is not None, "only a recipe with a start has this stage"
            adopt(self.recipe.start, self.out, self._new_codec(), self._new_language())
        return {"finished": True, "start": str(self.recipe.start)}

    def alignment(self) -> dict[str, Any]:
        self._require_speech()
        label_all(self.out / "speech", self.out / "labels", self.codec_config.num_quantizers)
        return self._language("alignment", "labels", self.recipe.alignment_minutes)

    def codec(self) -> dict[str, Any]:
        self._require_speech()
        clock = self._clock("codes", self.recipe.codec_minutes)
        arguments = (self.out, self.out / "speech", self.codec_config, self.recipe.codec)
        return {"finished": train_codes(*arguments, clock, self.device), **clock.state()}

    def encode(self) -> dict[str, Any]:
        model = self._codec("codes").to(self.device)
        finished = encode_all(
            model,
            self.out / "speech",
            self.out / "codes",
            self.device,
            self.recipe.encode_passes,
            self.session_s,
        )
        return {"finished": finished}

    def language(self) -> dict[str, Any]:
        if not any((self.out / "codes").glob("codes-*.npz")):
            raise InputError(f"{self.out} has no codes yet", "run the stage 'encode' first")
        return self._language("language", "codes", self.recipe.language_minutes)

    def decoder(self) -> dict[str, Any]:
        self._codec("codes")
        clock = self._clock("decoder", self.recipe.decoder_minutes)
        arguments = (self.out, self.out / "speech", self.codec_config, self.recipe.codec)
        return {"finished": train_decoder(*arguments, clock, self.device), **clock.state()}

    def evaluate(self) -> dict[str, Any]:
        codec, language = self._codec("decoder"), self._trained_language()
        results = {
            "codec": evaluate_codec(codec, self.recipe.sentences),
            "language": evaluate_language(language, codec, self.recipe.sentences),
            "context": evaluate_context(language, codec, max(2, self.recipe.sentences // 4)),
            "open": evaluate_open(language, codec, max(2, self.recipe.sentences // 2)),
        }
        if self.recipe.new_voices:
            results["clones"] = evaluate_clones(
                language, codec, max(1, self.recipe.sentences // 25)
            )
        write_json(self.out / "results.json", results)
        return {
            "codec_wer": results["codec"]["all"]["value"],
            "language_wer": results["language"]["all"]["value"],
            "ended": results["language"]["ended"],
        }

    def export(self) -> dict[str, Any]:
        path = self.out / "results.json"
        results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        facts = card.Facts.read(self.out, results)
        models, clones = self.out / "models", self.recipe.new_voices > 0
        codec_card = card.codec_card(facts, self.codec_config, clones)
        export_codec(self._codec("decoder"), models, codec_card)
        language_card = card.language_card(facts, clones)
        export_language(self._trained_language(), models, language_card)
        return {"models": str(models)}

    def _language(self, name: str, codes: str, minutes: float) -> dict[str, Any]:
        clock = self._clock(name, minutes)
        finished = train_language(
            self.out,
            self.out / codes,
            self.language_config,
            self.recipe.language,
            clock,
            self.device,
            name,
        )
        return {"finished": finished, **clock.state()}

    def _require_speech(self) -> None:
        if not shard_numbers(self.out / "speech"):
            raise InputError(f"{self.out} has no speech yet", "run the stage 'data' first")

    def _clock(self, name: str, minutes: float) -> checkpoints.Clock:
        if not self.resume:
            (self.out / f"{name}.pt").unlink(missing_ok=True)
        return checkpoints.Clock(total_s=minutes * 60, session_s=self.session_s)

    def _codec(self, name: str) -> nn.Module:
        model = self._new_codec()
        model.load_state_dict(self._stored(name)["model"])
        return model.eval()

    def _new_codec(self) -> nn.Module:
        from transformers import MimiModel

        return MimiModel(self.codec_config)

    def _new_language(self) -> nn.Module:
        return build_language(self.language_config)

    def _trained_language(self) -> nn.Module:
        model = self._new_language()
        model.load_state_dict(self._stored("language")["average"])
        return model.eval()

    def _stored(self, name: str) -> dict[str, Any]:
        stored = checkpoints.load(self.out / f"{name}.pt")
        if stored is None:
            stage = "codec" if name == "codes" else name
            raise InputError(f"{self.out} has no {name}.pt yet", f"run the stage {stage!r} first")
        return stored
