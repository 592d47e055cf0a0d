"""Out of memory: what is needed, and what would fit."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from workbench.engines.csm.batches import free_bytes, row_bytes
from workbench.errors import OutOfMemory
from workbench.models.quiet import quiet
from workbench.models.shortage import is_shortage
from workbench.optimizations.dtypes import torch_dtype

_HALF = "bfloat16"
_GIB = 1 << 30


@dataclass(frozen=True)
class Fit:
    """Networks in ``dtype``: bytes of their weights and of a stream's caches, and how many
    ``streams`` fit beside the weights; 0 where not even one does.
    """

    dtype: str
    weights_bytes: int
    stream_bytes: int
    streams: int


def weight_bytes(config: Any, dtype: torch.dtype, codec_dtype: torch.dtype = torch.float32) -> int:
    """Bytes of a CSM's weights, counted on an architecture that takes no memory itself."""
    with quiet(), torch.device("meta"):
        from transformers import CsmForConditionalGeneration

        model = CsmForConditionalGeneration._from_config(config)
    codec = sum(one.numel() for one in model.codec_model.parameters())
    whole = sum(one.numel() for one in model.parameters())
    return (whole - codec) * dtype.itemsize + codec * codec_dtype.itemsize


def fit(config: Any, dtype: str, free: int) -> Fit:
    """What a CSM of ``config`` in ``dtype`` takes of ``free`` bytes."""
    weights = weight_bytes(config, torch_dtype(dtype))
    each = row_bytes(config, torch_dtype(dtype))
    return Fit(dtype, weights, each, max(0, free - weights) // each)


def check_weights(name: str, config: Any, dtype: str, device: torch.device) -> None:
    """Refuses weights that can't fit before minutes of reading end in a killed process.

    They are made in the host's memory, also where they go to a GPU. Raises OutOfMemory.
    """
    needed = weight_bytes(config, torch_dtype(dtype))
    for place in dict.fromkeys((torch.device("cpu"), device)):
        free = free_bytes(place)
        if needed > free:
            raise weights_shortage(name, config, dtype, place, free)


def weights_shortage(
    name: str, config: Any, dtype: str, device: torch.device, free: int
) -> OutOfMemory:
    """The error for weights in ``dtype`` that don't fit ``free`` bytes: it says what would."""
    asked, half = fit(config, dtype, free), fit(config, _HALF, free)
    if dtype == "float32" and half.streams:
        remedy = (
            f"dtype={half.dtype!r} takes {gib(half.weights_bytes)} and leaves room for "
            f"{half.streams:,} stream{'s' * (half.streams != 1)}; safe_modes=True does that"
        )
    elif device.type == "cuda":
        remedy = "use device='cpu' (safe_modes=True does that), or free memory of the GPU"
    else:
        needed = min(asked.weights_bytes, half.weights_bytes) + half.stream_bytes
        remedy = f"close programs until {gib(needed)} are free, or use a smaller model"
    return OutOfMemory(
        f"{name} in {dtype} needs {gib(asked.weights_bytes)} for its weights and "
        f"{gib(asked.stream_bytes)} for each stream, and {gib(free)} are free on {device.type}",
        remedy,
    )


@contextmanager
def weights_named(name: str, config: Any, dtype: str, device: torch.device) -> Iterator[None]:
    """An allocator's failure while weights are made becomes an OutOfMemory that says what fits."""
    free = free_bytes(device)
    try:
        yield
    except (RuntimeError, MemoryError) as problem:
        if not is_shortage(problem):
            raise
        raise weights_shortage(name, config, dtype, device, free) from problem


@contextmanager
def speech_named(
    name: str, config: Any, dtype: torch.dtype, device: torch.device, rows: int = 1
) -> Iterator[None]:
    """As ``weights_named``, while ``rows`` texts are spoken together."""
    try:
        yield
    except (RuntimeError, MemoryError) as problem:
        if not is_shortage(problem):
            raise
        free, each = free_bytes(device), row_bytes(config, dtype)
        called = str(dtype).removeprefix("torch.")
        if rows > 1:
            fewer = max(1, min(free // each, rows - 1))
            remedy = f"speak {fewer:,} at a time; safe_modes=True halves batches until they fit"
        elif dtype == torch.float32:
            remedy = f"load with dtype={_HALF!r}, which takes half of it, or free memory"
        else:
            remedy = "use a shorter text or reference, or free memory"
        raise OutOfMemory(
            f"{name} in {called} ran out of memory on {device.type} with "
            f"{rows:,} text{'s' * (rows != 1)} at a time: caches take {gib(each)} each, "
            f"{gib(free)} are free",
            remedy,
        ) from problem


def release(device: torch.device) -> None:
    """Gives back what a failed attempt held."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def gib(size_bytes: int) -> str:
    """ "6.2 GiB", "0.031 GiB"."""
    size = size_bytes / _GIB
    return f"{size:.1f} GiB" if size >= 1 else f"{size:.2g} GiB"
