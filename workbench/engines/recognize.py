"""``load_recognizer``: a recognizer by name, folder or hub id."""

from __future__ import annotations

from typing import Any

from workbench.engines.transcript import Recognizer, Window
from workbench.errors import InputError
from workbench.models.whisper.find import NANO, find_whisper

ENGINES = ("faster-whisper", "transformers")


def load_recognizer(
    name: str = NANO,
    *,
    engine: str = "faster-whisper",
    compute_type: str | None = None,
    device: str | None = None,
    window: Window | None = None,
    language: str | None = "en",
    threads: int | None = None,
    revision: str | None = None,
    **settings: Any,
) -> Recognizer:
    """Loads a recognizer of speech.

    ``name`` is ``whisper-nano`` (shipped), a size (``tiny`` … ``large-v3-turbo``, from the hub),
    a folder in the engine's layout, or a hub id. ``engine`` is ``faster-whisper`` (CTranslate2) or
    ``transformers`` (PyTorch). ``compute_type`` is the type of the weights and the arithmetic:
    CTranslate2's (``float32``, ``float16``, ``int8``, ``int8_float16``, …) or PyTorch's
    (``float32``, ``bfloat16``, ``float16``); default: what the files hold on faster-whisper,
    float32 on transformers. ``window`` is ``full`` (30 s of padding, as Whisper was trained) or
    ``trimmed`` (the audio's own length); default: full on faster-whisper, and on transformers
    what its ``implementation`` is made for. ``language=None`` has it detected. ``threads`` are
    CPU threads.

    Further ``settings`` of faster-whisper: ``beam_size`` (5), ``workers`` (1), ``batch_size``,
    ``vad``. Of transformers: ``implementation`` (``static`` or ``transformers``),
    ``compile_mode``.

    Raises InputError for an unknown name or setting, ModelError for files that are missing or
    damaged.
    """
    if engine not in ENGINES:
        raise InputError(f"no engine called {engine!r}", f"use {' or '.join(ENGINES)}")
    if window not in (None, "full", "trimmed"):
        raise InputError(f"window={window!r}", "use 'full' or 'trimmed'")
    if threads is not None and threads < 1:
        raise InputError(f"{threads} threads", "use at least one")
    known = _SETTINGS[engine]
    if unknown := sorted(settings.keys() - known):
        raise InputError(
            f"the engine {engine} has no setting {unknown[0]!r}", f"use {', '.join(known)}"
        )
    given = {"language": language, "threads": threads, **settings}
    if engine == "transformers":
        return _transformers(name, compute_type, device, window, revision, given)
    from workbench.engines.faster_whisper import FasterWhisperRecognizer

    return FasterWhisperRecognizer(
        find_whisper(name, "ctranslate2", revision),
        device=_device(device),
        compute_type=compute_type or "default",
        window=window or "full",
        **given,
    )


_SETTINGS = {
    "faster-whisper": ("beam_size", "workers", "batch_size", "vad"),
    "transformers": ("implementation", "compile_mode"),
}


def _transformers(
    name: str,
    compute_type: str | None,
    device: str | None,
    window: Window | None,
    revision: str | None,
    given: dict[str, Any],
) -> Recognizer:
    import torch

    from workbench.engines.transformers_whisper import TransformersWhisperRecognizer
    from workbench.optimizations.dtypes import torch_dtype

    types = ("float32", "bfloat16", "float16")
    if compute_type not in (None, *types):
        raise InputError(
            f"compute type {compute_type!r} isn't one of transformers' engine",
            f"use {', '.join(types)}, or engine='faster-whisper'",
        )
    full = given.get("implementation") == "transformers"
    return TransformersWhisperRecognizer(
        find_whisper(name, "transformers", revision),
        device=torch.device(_device(device)),
        dtype=torch_dtype(compute_type or "float32"),
        window=window or ("full" if full else "trimmed"),
        **given,
    )


def _device(name: str | None) -> str:
    """``cuda`` where there is one, else ``cpu``; what was asked for is never replaced."""
    import torch

    if name not in (None, "cpu", "cuda"):
        raise InputError(f"no device called {name!r}", "use 'cpu' or 'cuda'")
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise InputError(
            "device 'cuda' was asked for, but there is no CUDA GPU here",
            "run `workbench hardware`, or use device='cpu'",
        )
    return name or ("cuda" if there else "cpu")
