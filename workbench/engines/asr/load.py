"""``load_recognizer``: a recognizer by name, folder or hub id."""

from __future__ import annotations

from typing import Any, Literal

from workbench.engines.asr.transcript import Recognizer, Window
from workbench.errors import InputError
from workbench.models.whisper.find import NANO, find_whisper

# What each implementation can be told beside what all know.
_SETTINGS: dict[str, tuple[str, ...]] = {
    "faster-whisper": ("beam_size", "workers", "batch_size", "vad"),
    "static": ("compile_mode",),
    "transformers": (),
}
IMPLEMENTATIONS = tuple(_SETTINGS)
_RANDOM_TOKENS = 24  # of random weights, which know no end: a sentence of some 15 words
_TORCH_TYPES = ("float32", "bfloat16", "float16")


def load_recognizer(
    name: str = NANO,
    *,
    weights: Literal["auto", "random"] = "auto",
    implementation: str = "faster-whisper",
    compute_type: str | None = None,
    device: str | None = None,
    window: Window | None = None,
    language: str | None = "en",
    threads: int | None = None,
    revision: str | None = None,
    max_tokens: int | None = None,
    **settings: Any,
) -> Recognizer:
    """Loads a recognizer of speech.

    ``name`` is ``whisper-nano`` (shipped), a size (``tiny`` … ``large-v3-turbo``, from the hub),
    a folder in the implementation's layout, or a hub id. ``weights="random"`` builds a size's
    architecture without any download: for timing; it writes noise, always ``max_tokens`` of it
    (default 24), and its ``weights`` say so. ``implementation`` is ``faster-whisper``
    (CTranslate2), ``static`` (PyTorch with our static cache) or ``transformers`` (its
    ``generate``). ``compute_type`` is the type of the weights and of the arithmetic: CTranslate2's
    (``float32``, ``float16``, ``int8``, ``int8_float16``, …) or PyTorch's (``float32``,
    ``bfloat16``, ``float16``); default: the files' own where faster-whisper can compute in it, and
    float32 in PyTorch. ``window`` is ``full`` (30 s of padding, as Whisper was trained; the
    default) or ``trimmed`` (the audio's own length and a margin; the default of ``static``).
    ``language=None`` has it detected. ``threads`` are CPU threads. ``revision`` is a hub commit.
    ``max_tokens`` bounds the text of each window.

    Further ``settings``: of ``faster-whisper`` ``beam_size`` (5), ``workers`` (1), ``batch_size``
    and ``vad``; of ``static`` ``compile_mode``.

    Raises InputError for an unknown name or setting, ModelError for files that are missing or
    damaged.
    """
    if implementation not in IMPLEMENTATIONS:
        raise InputError(
            f"no implementation called {implementation!r}", f"use {', '.join(IMPLEMENTATIONS)}"
        )
    if window not in (None, "full", "trimmed"):
        raise InputError(f"window={window!r}", "use 'full' or 'trimmed'")
    if weights not in ("auto", "random"):
        raise InputError(f"weights={weights!r}", "use 'auto' or 'random'")
    for what, value in (("threads", threads), ("max_tokens", max_tokens)):
        if value is not None and value < 1:
            raise InputError(f"{what}={value}", "use at least 1")
    known = _SETTINGS[implementation]
    if unknown := sorted(settings.keys() - known):
        raise InputError(
            f"the implementation {implementation} has no setting {unknown[0]!r}",
            f"it knows {', '.join(known)}" if known else "leave it out",
        )
    target = _device(device)
    random = weights == "random"
    if random and max_tokens is None:
        max_tokens = _RANDOM_TOKENS
    given = {"language": language, "threads": threads, "max_tokens": max_tokens, **settings}
    if implementation == "faster-whisper":
        from workbench.engines.asr.faster_whisper import FasterWhisperRecognizer

        return FasterWhisperRecognizer(
            find_whisper(name, "ctranslate2", revision, random=random),
            device=target,
            compute_type=compute_type or "default",
            window=window or "full",
            **given,
        )
    if compute_type not in (None, *_TORCH_TYPES):
        raise InputError(
            f"compute type {compute_type!r} isn't PyTorch's",
            f"use {', '.join(_TORCH_TYPES)}, or implementation='faster-whisper'",
        )
    import torch

    from workbench.engines.asr.torch_whisper import TorchWhisperRecognizer
    from workbench.optimizations.dtypes import torch_dtype

    return TorchWhisperRecognizer(
        find_whisper(name, "transformers", revision, random=random),
        implementation=implementation,
        device=torch.device(target),
        dtype=torch_dtype(compute_type or "float32"),
        window=window or ("trimmed" if implementation == "static" else "full"),
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
