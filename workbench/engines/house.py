"""What engines a machine has for ``speak``: which are there, why not, and loading them."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from workbench.engines.cache import ENGINES, EngineCache
from workbench.errors import InputError

ALWAYS_THERE = "csm-nano"
PIPER_VOICE = "WORKBENCH_PIPER_VOICE"  # Piper has no voice of its own: a voice file, .onnx


@dataclass(frozen=True)
class Gpu:
    """The GPU that an engine would run on: its ``name`` and its memory in ``bytes``."""

    name: str
    bytes: int


class House:
    """The engines of this machine. Those that are loaded stay so, in ``cache``."""

    def __init__(self, cache: EngineCache = ENGINES) -> None:
        self._cache = cache

    def missing(self, engine: str) -> str:
        """Why ``engine`` can't be had, with the remedy; empty where nothing speaks against it."""
        if engine == ALWAYS_THERE:
            return ""
        from workbench.engines import guests

        found = guests.status(engine)
        if not found.ready:
            return f"{found.detail} → {found.remedy}" if found.remedy else found.detail
        if engine == "piper" and not os.environ.get(PIPER_VOICE):
            return f"it has no voice → name one by {PIPER_VOICE}=FILE.onnx"
        return ""

    def load(self, engine: str) -> Any:
        """The loaded engine; raises what ``workbench.load`` raises."""
        name = f"piper:{os.environ[PIPER_VOICE]}" if engine == "piper" else engine
        return self._cache.get(name)

    def gpu(self) -> Gpu | None:
        """The CUDA GPU; None without one."""
        import torch

        if not torch.cuda.is_available():
            return None
        found = torch.cuda.get_device_properties(0)
        return Gpu(found.name, found.total_memory)


class ImaginedHouse(House):
    """Another machine: what would be chosen where ``engines`` are installed, with that ``gpu``."""

    def __init__(self, engines: Collection[str] = (), gpu: Gpu | None = None) -> None:
        super().__init__(EngineCache())
        self._engines, self._gpu = engines, gpu

    def missing(self, engine: str) -> str:
        """See ``House``."""
        return "" if engine in (ALWAYS_THERE, *self._engines) else "not installed"

    def load(self, engine: str) -> Any:
        """An imagined machine can't speak."""
        raise InputError(f"{engine} on an imagined machine", "ask it for a plan only")

    def gpu(self) -> Gpu | None:
        """See ``House``."""
        return self._gpu
