"""Claims about recognizers, voice activity and turns: as studies of their own, and as figures.

Whispers of real sizes have random weights: their times hold, their words mean nothing. Words are
whisper-nano's.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from workbench.audio import Audio
from workbench.engines.turns.vad import load_vad, probabilities
from workbench.hardware.fingerprint import fingerprint, label
from workbench.measure.arm import Arm, rest_collector
from workbench.measure.statistics import Ratio, bootstrap_interval
from workbench.measure.trials import run_study
from workbench.optimizations import Site
from workbench.quality.wer import edit_distance, normalized_words
from workbench.studies.ablation.settings import AblationSettings
from workbench.studies.claims.evidence import Evidence, Fact, Missing, Pair
from workbench.studies.claims.sets import plan_of, read_or_run

WITHOUT, WITH = "without", "with"
METRIC, WORDS = "latency_ms", "wer"
_CLIPS = 6
_TURNS = 60
_NANO: Mapping[str, Any] = {"name": "whisper-nano"}
_LARGE: Mapping[str, Any] = {"name": "large-v3", "weights": "random"}
_BASE: Mapping[str, Any] = {"name": "base", "weights": "random"}
# What is compared, by probe: the load settings without and with; on CPUs, and on CUDA GPUs.
_Loads = tuple[Mapping[str, Any], Mapping[str, Any]]
_ON_CPU: Mapping[str, _Loads] = {
    "whisper_int8": ({**_BASE, "compute_type": "float32"}, {**_BASE, "compute_type": "int8"}),
    "whisper_words": ({**_NANO, "compute_type": "float32"}, {**_NANO, "compute_type": "int8"}),
}
_ON_CUDA: Mapping[str, _Loads] = {
    "whisper_int8": (
        {**_LARGE, "compute_type": "float16"},
        {**_LARGE, "compute_type": "int8_float16"},
    ),
    "whisper_words": _ON_CPU["whisper_words"],
    "whisper_float16": (
        {**_LARGE, "compute_type": "float32"},
        {**_LARGE, "compute_type": "float16", "workers": 4},
    ),
    "whisper_base": (
        {**_LARGE, "compute_type": "float16"},
        {**_BASE, "compute_type": "float16"},
    ),
    "whisper_tiny": (
        {**_LARGE, "compute_type": "float16"},
        {**_BASE, "name": "tiny", "compute_type": "float16"},
    ),
}
RECOGNIZERS = tuple(_ON_CUDA)


class Hears:
    """A recognizer as an arm: each trial transcribes one held-out sentence of the nano voice."""

    def __init__(self, load: Mapping[str, Any], clips: int = _CLIPS, seed: int = 0) -> None:
        from workbench.engines.asr.load import load_recognizer
        from workbench.studies.asr.speech import speech_for

        self.recognizer = load_recognizer(**load)
        self.clips = speech_for(None, "csm-nano", clips, seed=seed)

    def warm_up(self) -> float:
        """One transcript; returns the seconds it took."""
        warm_up_s = self.recognizer.warm_up()
        rest_collector()
        return warm_up_s

    def trial(self, index: int, seed: int) -> dict[str, float]:
        """Latency, and the share of words that are wrong."""
        gc.collect()
        clip = self.clips[index % len(self.clips)]
        begin = time.perf_counter()
        heard = self.recognizer.transcribe(clip.audio).text
        latency_ms = 1000 * (time.perf_counter() - begin)
        wanted = normalized_words(clip.text)
        wrong = edit_distance(wanted, normalized_words(heard))
        return {METRIC: latency_ms, WORDS: wrong / len(wanted)}

    def about(self) -> dict[str, Any]:
        """What ran."""
        made = self.recognizer
        return {
            "engine": f"{made.name} ({made.weights[:12]})",
            "device": getattr(made, "device", "cpu"),
            "implementation": made.implementation,
            "compute_type": made.compute_type,
        }


def measure_recognizer(
    name: str,
    settings: AblationSettings,
    site: Site,
    folder: Path,
    progress: Callable[[str], None],
) -> Evidence:
    """The study of the probe ``name``, written to ``folder``; read where it is there already."""
    loads = (_ON_CUDA if site.cuda else _ON_CPU).get(name)
    if loads is None:
        return Missing(
            "large-v3 takes half a minute a clip on a CPU: measured on CUDA GPUs only, unless "
            "notebook 50 is run with large-v3 among its sizes"
        )
    common = {"device": site.device} | ({"threads": settings.threads} if settings.threads else {})
    without, with_it = (
        Arm(arm, f"{__name__}:Hears", {"load": {**common, **load}, "seed": settings.seed})
        for arm, load in zip((WITHOUT, WITH), loads, strict=True)
    )
    study = read_or_run(
        folder,
        lambda: run_study(
            name.replace("_", " "),
            without,
            [with_it],
            metric=METRIC,
            plan=plan_of(settings),
            progress=progress,
        ),
    )
    return Pair(study, WITH, WITHOUT)


def vad_frame() -> Fact:
    """What WebRTC's detector, which is FERN's, takes for a frame of 30 ms."""
    noise = np.random.default_rng(0).standard_normal(16_000 * 20).astype(np.float32) * 0.05
    _, times_ms = probabilities(load_vad("webrtc"), Audio(noise, 16_000))
    taken = bootstrap_interval(times_ms)
    return Fact(taken.value, None, "a frame of 30 ms", "WebRTC VAD", _machine(), taken)


def turn_cost() -> Fact:
    """What asking the judge takes, once in each silence."""
    study = _turns()
    taken = bootstrap_interval(study.judge_ms)
    return Fact(taken.value, None, "one question", str(study.first.judge), _machine(), taken)


def turn_gain(study: Any = None, machine: str = "") -> Fact | Missing:
    """False turn ends with words, against a fixed wait of the same mean latency.

    Of ``study`` (a ``TurnStudy``) made on ``machine``; of one made now where there is none.
    """
    study = study or _turns()
    if study.saved is None:
        return Missing("the fixed wait cuts nobody off here, so that there is nothing to avoid")
    before, left = study.fixed.false_cut_offs.value, 1 - study.saved.value
    ends = (1 - study.saved.low, 1 - study.saved.high)
    low, value, high = (float("inf") if end <= 0 else 1 / end for end in (ends[0], left, ends[1]))
    what = f"false turn ends of {study.first.turns} turns, against a fixed wait as long on average"
    ratio = Ratio(value, low, high, study.saved.n, study.saved.confidence)
    on = machine or _machine()
    return Fact(before * left, before, what, str(study.first.judge), on, ratio=ratio)


@cache
def _turns() -> Any:
    """The study of turns, which both figures are of."""
    from workbench.engines.load import load
    from workbench.studies.turns.study import models_called, spoken_turns, study_turns

    judge, _, _ = models_called("chat-nano")
    return study_turns(spoken_turns(load("csm-nano"), _TURNS), ("silero",), judge, budgets=())


def _machine() -> str:
    return label({**fingerprint(), "gpus": []})
