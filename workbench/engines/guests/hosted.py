"""The border between a guest's environment and ours: what is asked, and what comes back.

``make`` is what a worker hosts. It runs on the guest's interpreter, where this package is imported
from the workbench's own files.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from workbench.engines.guests.bare import own_packages_first
from workbench.engines.guests.catalogue import Guest
from workbench.engines.speech import Ended, Reference
from workbench.errors import ModelError, WorkbenchError

Size = Literal["full", "small"]


@dataclass(frozen=True)
class Wanted:
    """What to load. ``checkpoint`` is a file, a folder or a hub id; empty takes the engine's own.

    ``random`` asks for random weights of the ``size`` "full" or "small". ``settings`` are the
    fields of the engine's settings.
    """

    checkpoint: str
    revision: str | None
    random: bool
    size: Size
    device: str | None
    dtype: str | None
    threads: int | None
    optimizations: Sequence[str] | str | None
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """One text to speak. ``max_s`` is a limit of its sound in seconds."""

    text: str
    voice: int
    context: tuple[Reference, ...]
    seed: int
    temperature: float | None
    max_s: float | None
    time_stages: bool


@dataclass(frozen=True)
class Ending:
    """After the last piece of sound: how it ended, and what the stages took where it was asked."""

    ended: Ended = "eos"
    stages_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class About:
    """What was loaded, as it stands in records. ``chars_per_part`` says how long a piece of text
    is spoken at once; ``left_out`` what this engine can't do, and why.
    """

    weights: str
    rate_hz: int
    voices: Mapping[int, str]
    device: str
    dtype: str
    threads: int
    optimizations: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights_bytes: int | None = None
    references: Literal["none", "optional", "required"] = "none"


class Hosted(Protocol):
    """An engine in its own environment; made from a ``Wanted``."""

    def about(self) -> About:
        """What was loaded."""
        ...

    def warm_up(self) -> float:
        """Does once what only the first request needs; returns the seconds it took."""
        ...

    def speak(self, request: Request) -> Iterator[np.ndarray | Ending]:
        """Pieces of sound ``[T]`` float32 as they are made, then the ending."""
        ...


class Host:
    """Hosts one engine and names failures of its packages.

    An exception of a package would arrive without its type where that package is missing; as a
    ModelError it says which engine failed, with the package's words.
    """

    def __init__(self, one: Guest, wanted: Wanted) -> None:
        own_packages_first()
        self._guest = one
        with _named(one.name):
            module, _, attribute = one.target.partition(":")
            self._engine: Hosted = getattr(importlib.import_module(module), attribute)(wanted)

    def about(self) -> About:
        """What was loaded."""
        return self._engine.about()

    def versions(self) -> dict[str, str]:
        """Versions of the engine's packages that are imported here, and Python's."""
        names = (self._guest.distribution, *self._guest.shared)
        found = {"python": platform.python_version()}
        for name in names:
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue  # doctor tells; a record holds what there is
        return found

    def warm_up(self) -> float:
        """The engine's warm-up, in seconds."""
        with _named(self._guest.name):
            return self._engine.warm_up()

    def speak(self, request: Request) -> Iterator[np.ndarray | Ending]:
        """The engine's pieces of sound and its ending."""
        with _named(self._guest.name):
            yield from self._engine.speak(request)

    def peak_rss_bytes(self) -> float:
        """Most memory that this process has had."""
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return float(peak if sys.platform == "darwin" else 1024 * peak)


class _named:
    """Turns what an engine's packages raise into a ModelError that names the engine."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, problem: BaseException | None, _: Any) -> None:
        if problem is None or not isinstance(problem, Exception):
            return
        if isinstance(problem, (WorkbenchError, MemoryError)):
            return
        first = (str(problem).strip().splitlines() or [""])[0]
        if isinstance(problem, ImportError):
            raise ModelError(
                f"the environment of {self._name!r} is broken: {first}",
                f"workbench engines install {self._name} --again",
            ) from problem
        if type(problem).__name__ == "OutOfMemoryError":
            raise ModelError(
                f"{self._name}: not enough memory on the GPU",
                "use dtype='float16', a shorter text or device='cpu'",
            ) from problem
        raise ModelError(
            f"{self._name} failed with {type(problem).__name__}: {first}",
            f"see the traceback; `workbench engines doctor {self._name}` checks its packages",
        ) from problem
