"""Programs that decode Mimi's codes: speed and exactness in one interleaved study.

found = compare_decoders("mimi-nano", frames=[1, 125], trials=40)
found.rows(), found.exact, found.left_out
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

import numpy as np

from workbench.errors import InputError
from workbench.measure.arm import Arm
from workbench.measure.codec_arm import (
    BACKENDS,
    NATIVE,
    ONNX,
    Weights,
    checked_lengths,
    codec_called,
    frame_metric,
    random_codes,
)
from workbench.measure.plan import Plan
from workbench.measure.study import CONTROL
from workbench.measure.trials import run_study
from workbench.native import native_status
from workbench.studies.codec.result import CodecStudy, Exactness, exactness

CODEC = "mimi-nano"
FRAMES = (1, 13, 125)  # 80 ms, 1 s and 10 s of sound
TRIALS = 40
_ARM = "workbench.measure.codec_arm:CodecArm"
_ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def compare_decoders(
    codec: str = CODEC,
    ways: Sequence[str] = BACKENDS,
    *,
    frames: Sequence[int] = FRAMES,
    weights: Weights = "auto",
    threads: int = 1,
    trials: int = TRIALS,
    starts: int | None = None,
    seed: int = 0,
    progress: Callable[[str], None] = lambda words: None,
) -> CodecStudy:
    """Each of ``ways`` decodes the same random codes as streams of each length in ``frames``.

    The first way that can run here is the baseline; the others are left out with the remedy.
    ``codec`` and ``weights`` are those of ``codec_called``; ``starts`` is the plan's.

    Raises InputError for an unknown way, for lengths and threads below one, for names that have
    no Mimi, and where fewer than two ways can run.
    """
    lengths = checked_lengths(frames)
    if unknown := [way for way in ways if way not in BACKENDS]:
        raise InputError(f"no way called {unknown[0]!r}", f"use {', '.join(BACKENDS)}")
    if threads < 1:
        raise InputError(f"{threads} threads", "use at least one")
    reasons = {way: missing(way) for way in dict.fromkeys(ways)}
    left_out = {way: why for way, why in reasons.items() if why}
    here = [way for way in reasons if way not in left_out]
    if len(here) < 2:
        told = "; ".join(f"{way}: {why}" for way, why in left_out.items())
        raise InputError(
            f"fewer than two ways of decoding{f' ({told})' if told else ''}",
            f"name two or more of {', '.join(BACKENDS)}",
        )
    progress("decoding in float64")
    truth = _sound_in_float64(codec, weights, lengths[-1], seed)
    kwargs = {"codec": codec, "frames": list(lengths), "threads": threads, "weights": weights}
    arms = [Arm(way, _ARM, {**kwargs, "backend": way}) for way in here]
    exact: dict[str, Exactness] = {}

    def keep(name: str, _: int, sound: np.ndarray) -> None:
        exact[name] = exactness(sound, truth)

    study = run_study(
        "codec",
        arms[0],
        arms[1:],
        metric=frame_metric(lengths[-1]),
        plan=Plan(trials=trials, starts=starts, seed=seed),
        progress=progress,
        keep=keep,
    )
    exact.pop(CONTROL, None)
    return CodecStudy(study, codec, lengths, exact, left_out)


def missing(way: str) -> str:
    """Why ``way`` can't run here, and the remedy; empty where it can."""
    if way == NATIVE:
        status = native_status()
        return "" if status.built else f"the native kernels are {status.reason}: {status.remedy}"
    if way == ONNX:
        absent = [package for package in _ONNX_PACKAGES if find_spec(package) is None]
        if absent:
            return f"{', '.join(absent)} not installed: pip install 'workbench[onnx]' onnxruntime"
    return ""


def _sound_in_float64(codec: str, weights: Weights, frames: int, seed: int) -> np.ndarray:
    """transformers' offline decode of the first round's longest stream."""
    import torch

    from workbench.models.mimi.load import forget_tables

    model, _ = codec_called(codec, weights)
    codes = random_codes(model.config, frames, seed)
    model.double()
    forget_tables(model)
    with torch.inference_mode():
        sound: np.ndarray = model.decode(torch.from_numpy(codes)[None]).audio_values[0, 0].numpy()
    return sound
