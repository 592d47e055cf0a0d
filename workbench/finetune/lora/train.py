"""``train_lora``: from a folder of recordings and texts to an adapter, stage by stage."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch

from workbench.engines.load import device_called
from workbench.errors import InputError
from workbench.finetune.loop import history
from workbench.finetune.lora import STAGES
from workbench.finetune.lora.adapter import save_adapter
from workbench.finetune.lora.batches import Recordings
from workbench.finetune.lora.card import adapter_card
from workbench.finetune.lora.codes import Coded, encode
from workbench.finetune.lora.merge import merge
from workbench.finetune.lora.training import CHECK, NAME, LoraRecipe, train_adapter
from workbench.finetune.nano import checkpoints
from workbench.finetune.recordings import Recording, digest, read_recordings
from workbench.models.checkpoint import find
from workbench.models.csm.load import LoadedCsm, load_csm

T = TypeVar("T")

ADAPTER, MERGED, CODES = "adapter", "merged", "codes"
_FEWEST = 5  # recordings, from which on some are held out


def train_lora(
    data: Path | str,
    out: Path | str,
    *,
    base: str = "csm-nano",
    voice: int = 0,
    voice_name: str = "",
    consent: str = "",
    stage: str = "all",
    minutes: float | None = None,
    device: str | None = None,
    resume: bool = True,
    threads: int | None = None,
    recipe: LoraRecipe | None = None,
) -> dict[str, Any]:
    """Trains an adapter on the recordings in ``data`` and writes it to ``out / "adapter"``.

    The adapted model speaks with the new voice as speaker ``voice``; ``voice_name`` (default: the
    folder's name) and ``consent``, a note of who allowed what, go into the adapter's files.
    ``minutes`` ends the training early in this call; the next call goes on. The stage ``merge``,
    which is not part of ``all``, writes base and adapter as one checkpoint to ``out / "merged"``.

    Load it with ``workbench.load(base, adapter=out / "adapter")``. Raises InputError for an
    unknown stage or unusable data, ModelError for a base whose files are damaged.
    """
    if stage not in STAGES:
        raise InputError(f"no stage {stage!r}", f"use one of {', '.join(STAGES)}")
    if threads is not None:
        torch.set_num_threads(threads)
    run = _Run(
        Path(data), Path(out), base, voice, voice_name, consent, device, resume,
        math.inf if minutes is None else minutes * 60, recipe or LoraRecipe(),
    )  # fmt: skip
    stages: dict[str, Callable[[], dict[str, Any]]] = {
        "encode": run.encode,
        "adapter": run.adapter,
        "merge": run.merge,
    }
    summary: dict[str, Any] = {"out": str(out), "stages": {}}
    for name in ("encode", "adapter") if stage == "all" else (stage,):
        started = time.monotonic()
        result = stages[name]()
        summary["stages"][name] = result | {"seconds": round(time.monotonic() - started, 1)}
        if result.get("finished") is False:
            summary["next"] = f"call again: {name} isn't finished"
    return summary


class _Run:
    """One call's settings; a method for each stage."""

    def __init__(
        self,
        data: Path,
        out: Path,
        base: str,
        voice: int,
        voice_name: str,
        consent: str,
        device: str | None,
        resume: bool,
        session_s: float,
        recipe: LoraRecipe,
    ) -> None:
        self.out, self.voice, self.consent, self.recipe = out, voice, consent, recipe
        self.voice_name = voice_name or data.name
        self.device, self.resume, self.session_s = device_called(device), resume, session_s
        self.data = data
        self.base, self.checkpoint = base, find(base)

    def encode(self) -> dict[str, Any]:
        coded = self._coded(self._recordings(), self._csm())
        seconds = sum(one.frames for one in coded) * 0.08
        return {"recordings": len(coded), "audio_s": round(seconds, 1)}

    def adapter(self) -> dict[str, Any]:
        if not self.resume:
            (self.out / f"{NAME}.pt").unlink(missing_ok=True)
            (self.out / "history.jsonl").unlink(missing_ok=True)
        recordings, csm = self._recordings(), self._csm()
        coded = self._coded(recordings, csm)
        csm.model.codec_model = torch.nn.Identity()  # its work is done
        training, held_out = split(coded, self.recipe.held_out_share)
        trainee, clock = train_adapter(
            self.out,
            csm,
            Recordings(csm, training, self.voice),
            Recordings(csm, held_out, self.voice),
            self.recipe,
            lambda steps: checkpoints.Clock(total_steps=steps, session_s=self.session_s),
        )
        result: dict[str, Any] = {"finished": clock.finished, **clock.state()}
        if clock.finished:
            about = {
                "kind": "lora",
                "base": self.base,
                "base_revision": self.checkpoint.revision,
                "voice": self.voice,
                "voice_name": self.voice_name,
                "consent": self.consent,
                "data_sha256": digest(recordings),
                "recordings": len(recordings),
                "audio_s": round(sum(one.frames for one in coded) * 0.08, 1),
                "recipe": asdict(self.recipe),
                "trained_parameters": sum(one.numel() for one in trainee.parameters),
                "held_out": last_check(self.out),
                **clock.state(),
            }
            folder = save_adapter(trainee.adapter, self.out / ADAPTER, about, adapter_card(about))
            result |= {"adapter": str(folder), "held_out": about["held_out"]}
        return result

    def merge(self) -> dict[str, Any]:
        folder = merge(self.base, self.out / ADAPTER, self.out / MERGED)
        return {"merged": str(folder)}

    def _recordings(self) -> list[Recording]:
        return read_recordings(self.data)

    def _csm(self) -> LoadedCsm:
        csm = load_csm(self.checkpoint, random=False, dtype=self.recipe.dtype, device=self.device)
        if self.voice < 0:
            raise InputError(f"voice {self.voice}", "use a speaker number from 0 on")
        return csm

    def _coded(self, recordings: Sequence[Recording], csm: LoadedCsm) -> list[Coded]:
        model = csm.model
        return encode(model.codec_model, model.config.num_codebooks, recordings, self.out / CODES)


def split(items: Sequence[T], share: float) -> tuple[list[T], list[T]]:
    """What is trained on and what is held out: every n-th recording, none of very few."""
    if not share or len(items) < _FEWEST:
        return list(items), []
    every = min(max(2, round(1 / share)), len(items))
    held_out = [one for place, one in enumerate(items) if place % every == every - 1]
    return [one for place, one in enumerate(items) if place % every != every - 1], held_out


def held_out_recordings(data: Path | str, share: float) -> list[Recording]:
    """The recordings of ``data`` that a recipe with this share never trains on.

    All of them where there are too few to hold any out.
    """
    recordings = read_recordings(data)
    return split(recordings, share)[1] or recordings


def last_check(folder: Path) -> dict[str, list[float]]:
    """Held-out losses epoch by epoch; empty where nothing was held out."""
    checks = history(folder).get(CHECK, {})
    return {name: [value for _, value in curve] for name, curve in checks.items()}
