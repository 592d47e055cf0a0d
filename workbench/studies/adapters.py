"""What a LoRA adapter costs while the engine speaks: merged and unmerged, against the base."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from workbench.engines.adapters import beside_adapter
from workbench.engines.load import device_called
from workbench.measure.plan import Plan
from workbench.measure.speech_arm import METRIC, speech_arm
from workbench.measure.study import Study
from workbench.measure.trials import run_study
from workbench.optimizations.presets import DEFAULT, preset
from workbench.optimizations.site import site_of
from workbench.studies.ablation.defaults import ENGINE, TEXTS, VOICE

BASE, MERGED, UNMERGED = "base", "adapter merged", "adapter unmerged"
_FRAMES = 8  # of each trial: fewer than any text has, or one voice would end before the other


def adapter_study(
    adapter: Path | str,
    *,
    engine: str = ENGINE,
    texts: Sequence[str] = TEXTS,
    voice: int = VOICE,
    optimizations: Sequence[str] | str = DEFAULT,
    max_frames: int = _FRAMES,
    device: str | None = None,
    plan: Plan | None = None,
    progress: Callable[[str], None] = lambda words: None,
) -> Study:
    """The time of a frame without adapter, with it merged, and with it beside the weights.

    All have the same switches, so that nothing else differs: of a preset those that work beside
    an unmerged adapter.
    """
    switches = _switches(optimizations, device)
    common: dict[str, Any] = {"optimizations": switches, "device": device}
    loads = {
        BASE: common,
        MERGED: {**common, "adapter": str(adapter)},
        UNMERGED: {**common, "adapter": str(adapter), "merge_adapter": False},
    }
    arms = [
        speech_arm(name, engine, texts, load=load, voice=voice, max_frames=max_frames)
        for name, load in loads.items()
    ]
    return run_study(
        "adapter", arms[0], arms[1:], metric=METRIC, plan=plan or Plan(), progress=progress
    )


def finding(study: Study | None) -> str:
    """What the study says, in a sentence; that it was left out where there is none."""
    if study is None:
        return "What the adapter costs wasn't measured"
    merged, unmerged = study.judgement(MERGED), study.judgement(UNMERGED)
    return f"Merged, an adapter is {merged}; unmerged it is {unmerged}"


def _switches(optimizations: Sequence[str] | str, device: str | None) -> list[str]:
    if not isinstance(optimizations, str):
        return list(optimizations)
    names, _ = preset(optimizations, site_of(device_called(device), "csm"))
    return list(beside_adapter(names, {}, asked=False)[0])
