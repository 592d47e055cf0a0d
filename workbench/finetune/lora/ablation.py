"""What makes training faster or smaller here: its settings one at a time, as a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.engines.load import device_called
from workbench.errors import InputError
from workbench.finetune.lora.arm import METRIC
from workbench.measure.arm import Arm
from workbench.measure.plan import Plan
from workbench.measure.study import Study
from workbench.measure.trials import run_study

BASELINE = "float32, batch 4"
_TARGET = "workbench.finetune.lora.arm:TrainingArm"
_PLAIN: Mapping[str, Any] = {"precision": "float32", "batch": 4, "loading": {"pinned": False}}
_CUDA_ONLY = ("pinned memory",)
# Each changes one thing of the baseline.
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "bf16": {"precision": "bf16"},
    "checkpointing": {"checkpointing": True},
    "batch 1": {"batch": 1},
    "batch 2": {"batch": 2},
    "batch 8": {"batch": 8},
    "1 worker": {"loading": {"pinned": False, "workers": 1}},
    "1 worker, prefetch 8": {"loading": {"pinned": False, "workers": 1, "prefetch": 8}},
    "pinned memory": {"loading": {"pinned": True}},
    "all frames for the depth decoder": {"depth_share": 1.0},
}


def settings_here(
    names: Sequence[str] | None = None, device: str | None = None
) -> tuple[list[str], dict[str, str]]:
    """Those of ``names`` (default: all) that change anything here, and why others are left out.

    Raises InputError for an unknown one.
    """
    cuda = device_called(device).type == "cuda"
    wanted = list(SETTINGS) if names is None else list(names)
    for name in wanted:
        if name not in SETTINGS:
            raise InputError(f"no training setting {name!r}", f"use {', '.join(SETTINGS)}")
    left_out = {
        name: "it is about copies to a GPU, and this trains on the CPU"
        for name in wanted
        if name in _CUDA_ONLY and not cuda
    }
    return [name for name in wanted if name not in left_out], left_out


def training_study(
    data: Path | str,
    codes: Path | str,
    *,
    base: str = "csm-nano",
    weights: str = "auto",
    settings: Sequence[str] | None = None,
    device: str | None = None,
    threads: int | None = None,
    per_trial: int = 8,
    plan: Plan | None = None,
    progress: Callable[[str], None] = lambda words: None,
) -> Study:
    """Each of ``settings`` against float32 with batches of 4, by the time a recording takes."""
    names, _ = settings_here(settings, device)

    def arm(name: str, changes: Mapping[str, Any]) -> Arm:
        kwargs = {
            "base": base,
            "data": str(data),
            "codes": str(codes),
            "recipe": {**_PLAIN, **changes},
            "weights": weights,
            "per_trial": per_trial,
            "device": device,
            "threads": threads,
        }
        return Arm(name, _TARGET, kwargs)

    return run_study(
        "training",
        arm(BASELINE, {}),
        [arm(name, SETTINGS[name]) for name in names],
        metric=METRIC,
        plan=plan or Plan(),
        progress=progress,
    )


def rows(study: Study | None) -> list[dict[str, Any]]:
    """A row an arm: speed, what the forward pass keeps, peak memory, the verdict."""
    if study is None:
        return [{"setting": "not measured"}]
    made = []
    for name, result in study.results.items():
        if result.error is not None:
            made.append({"setting": name, "verdict": f"FAILED: {result.error.message}"})
            continue
        memory = "peak_gpu_bytes" if "peak_gpu_bytes" in result.samples else "peak_rss_bytes"
        verdict = "" if result is study.baseline else str(study.judgement(name))
        made.append(
            {
                "setting": name,
                "recordings a second": f"{result.interval('recordings_per_s').value:.2f}",
                "activations (MiB)": f"{result.interval('activation_bytes').value / 2**20:.0f}",
                "peak memory (MiB)": f"{max(result.of(memory)) / 2**20:.0f}",
                "against the baseline": verdict,
            }
        )
    return made
