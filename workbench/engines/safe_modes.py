"""The ladder of safe modes: what is tried, in turn, where memory runs out.

Only where it was asked for (``workbench.load(…, safe_modes=True)``, or ``WORKBENCH_SAFE_MODES=1``),
and never in silence: what was applied stands in the engine's ``safe_modes`` and in every speech's.

1. 16-bit weights instead of float32;
2. the CPU instead of the GPU, then in 16 bits;
3. while speaking, batches of half the size, again and again, down to one text.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from workbench.errors import InputError, OutOfMemory

VARIABLE = "WORKBENCH_SAFE_MODES"
_ON, _OFF = ("1", "true", "on", "yes"), ("", "0", "false", "off", "no")

Loaded = TypeVar("Loaded")


def wanted(asked: bool | None) -> bool:
    """``asked``, or where that is None what the environment says; no by default.

    Raises InputError for a value of the variable that is neither yes nor no.
    """
    if asked is not None:
        return asked
    said = os.environ.get(VARIABLE, "").strip().lower()
    if said not in (*_ON, *_OFF):
        raise InputError(f"{VARIABLE}={said}", "set it to 1 or 0")
    return said in _ON


def load_with(
    attempt: Callable[..., Loaded], device: str, dtype: str | None, half: str
) -> tuple[Loaded, tuple[str, ...]]:
    """What ``attempt(**changes)`` gives with the first rung that fits, and what that rung is.

    ``device`` is where it is to run, ``dtype`` what was asked for (None: by the device), ``half``
    the device's 16-bit type. Raises the OutOfMemory of the first attempt where no rung fits.
    """
    first: OutOfMemory | None = None
    tried = []
    for words, changes in _rungs(device, dtype, half):
        try:
            return attempt(**changes), (words,) if words else ()
        except OutOfMemory as problem:
            first = first or problem
        except InputError:
            if not words:
                raise
            continue  # a type that contradicts a switch: not a rung here
        if words:
            tried.append(words)
    assert first is not None
    more = f"; safe modes tried: {', '.join(tried)}" if tried else ""
    raise OutOfMemory(first.what + more, first.remedy)


def _rungs(device: str, dtype: str | None, half: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "", {}
    if dtype in (None, "float32") and half != "float32":
        yield f"{half} weights", {"dtype": half}
    if device == "cuda":
        yield "CPU instead of the GPU", {"device": "cpu", "dtype": None}
        yield "bfloat16 weights on the CPU", {"device": "cpu", "dtype": "bfloat16"}
