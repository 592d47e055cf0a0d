"""Training as an arm of a study: each trial trains on the same recordings, in any settings."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workbench.engines.load import device_called
from workbench.errors import InputError
from workbench.finetune.lora.batches import Loading, Recordings, loader
from workbench.finetune.lora.codes import encode
from workbench.finetune.lora.memory import saved_bytes
from workbench.finetune.lora.training import LoraRecipe, Trainee
from workbench.finetune.recordings import read_recordings
from workbench.measure.arm import rest_collector
from workbench.measure.engine_arm import peak_rss_bytes
from workbench.models.checkpoint import find
from workbench.models.csm.load import load_csm

METRIC = "recording_ms"


class TrainingArm:
    """Trains a LoRA adapter on ``data``; ``recipe`` has the fields of ``LoraRecipe``.

    ``codes`` is the folder of cached codes. A trial takes ``per_trial`` recordings, the same ones
    for all arms in a round, in steps of the recipe's batch. ``weights="random"`` trains the full
    architecture without any download. Raises InputError for a batch that doesn't divide
    ``per_trial``.
    """

    def __init__(
        self,
        base: str,
        data: str,
        codes: str,
        *,
        recipe: Mapping[str, Any] | None = None,
        weights: str = "auto",
        per_trial: int = 8,
        voice: int = 0,
        device: str | None = None,
        threads: int | None = None,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        settings = dict(recipe or {})
        settings["loading"] = Loading(**settings.get("loading", {}))
        self.recipe = LoraRecipe(**settings)
        self.batch = self.recipe.batch or 1
        if per_trial % self.batch:
            raise InputError(
                f"{per_trial} recordings in batches of {self.batch}", "use a divisor as the batch"
            )
        self.device, random = device_called(device), weights == "random"
        self.checkpoint = find(base, random=random)
        csm = load_csm(self.checkpoint, random=random, dtype=self.recipe.dtype, device=self.device)
        books = csm.model.config.num_codebooks
        coded = encode(csm.model.codec_model, books, read_recordings(data), Path(codes))
        csm.model.codec_model = torch.nn.Identity()
        self.recordings = Recordings(csm, coded, voice)
        self.trainee = Trainee(csm, self.recipe)
        self.per_trial, self.steps = per_trial, 0
        self._batches: Iterator[Any] = iter(
            loader(self.recordings, _Endless(self), self.recipe.loading, self.device)
        )

    def warm_up(self) -> float:
        """One trial's steps, and what the forward pass of one step keeps for the backward pass."""
        started = time.perf_counter()
        batch = next(self._batches)
        self._step(batch)
        self.activation_bytes = saved_bytes(lambda: self.trainee.loss(batch, 0)[0])
        for _ in range(self.per_trial // self.batch - 1):
            self._step(next(self._batches))
        elapsed_s = time.perf_counter() - started
        rest_collector()
        return elapsed_s

    def trial(self, index: int, seed: int) -> dict[str, float]:
        """Time per recording, loading included, and memory."""
        gc.collect()
        cuda = self.device.type == "cuda"
        if cuda:
            torch.cuda.reset_peak_memory_stats()
            torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(self.per_trial // self.batch):
            self._step(next(self._batches))
        if cuda:
            torch.cuda.synchronize()
        elapsed_s = time.perf_counter() - begin
        figures = {
            METRIC: 1000 * elapsed_s / self.per_trial,
            "recordings_per_s": self.per_trial / elapsed_s,
            "activation_bytes": float(self.activation_bytes),
            "peak_rss_bytes": peak_rss_bytes(),
        }
        if cuda:
            figures["peak_gpu_bytes"] = float(torch.cuda.max_memory_allocated())
        return figures

    def about(self) -> dict[str, Any]:
        """What really ran."""
        loading = self.recipe.loading
        return {
            "implementation": "lora",
            "engine": self.checkpoint.name,
            "weights": self.checkpoint.revision,
            "device": str(self.device),
            "dtype": self.recipe.precision,
            "batch": self.batch,
            "checkpointing": self.recipe.checkpointing,
            "workers": loading.workers,
            "prefetch": loading.prefetch if loading.workers else 0,
            "pinned": loading.pinned and self.device.type == "cuda",
            "trained_parameters": sum(one.numel() for one in self.trainee.parameters),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
        }

    def _step(self, batch: Any) -> None:
        self.trainee.step(batch, self.steps)
        self.steps += 1


class _Endless:
    """Batches for ever: trial after trial the same recordings, whatever the batch."""

    def __init__(self, arm: TrainingArm) -> None:
        self._lengths, self._arm = arm.recordings.lengths, arm

    def __iter__(self) -> Iterator[list[int]]:
        source = np.random.default_rng(self._arm.recipe.seed)
        while True:
            chosen = source.integers(len(self._lengths), size=self._arm.per_trial).tolist()
            chosen.sort(key=self._lengths.__getitem__)
            for first in range(0, len(chosen), self._arm.batch):
                yield chosen[first : first + self._arm.batch]
