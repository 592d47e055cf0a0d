"""A guest engine by name: checked here, made in its own environment."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import NoneType
from typing import Any, get_args, get_type_hints

from workbench.engines.guests.catalogue import GUESTS, Guest, guest
from workbench.engines.guests.environments import required
from workbench.engines.guests.hosted import Host, Size, Wanted
from workbench.engines.guests.local import Here, inside
from workbench.engines.guests.remote import GuestEngine, Process
from workbench.errors import InputError
from workbench.worker import Worker

_HOST = "workbench.engines.guests.hosted:Host"
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    NoneType: "None (null in JSON)",
}


def is_guest(name: str) -> bool:
    """Whether ``name`` is a guest engine's, alone or with a checkpoint: ``piper:a.onnx``."""
    return name.partition(":")[0] in GUESTS


def load_guest(
    name: str,
    *,
    weights: str = "auto",
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    threads: int | None = None,
    optimizations: Sequence[str] | str | None = None,
    **settings: Any,
) -> GuestEngine:
    """Loads the guest engine ``name``, or ``name:checkpoint`` with a file, a folder or a hub id.

    ``weights="random"`` makes them up, without a download: the whole architecture, or with
    ``size="small"`` one for tests. ``settings`` are the engine's own, see ``docs/engines.md``. The
    other arguments are those of ``workbench.load``.

    It speaks in a process of its own on its environment's interpreter; where this process already
    runs on that (an arm of a study does), it speaks here.

    Raises InputError for a setting that the engine doesn't have or that can't be so, ModelError
    where it isn't installed, its environment is broken, or its files are missing or of the wrong
    kind.
    """
    short, _, checkpoint = name.partition(":")
    one = guest(short)
    size = settings.pop("size", "full")
    if size not in get_args(Size):
        raise InputError(f"size={size!r}", f"use {' or '.join(map(repr, get_args(Size)))}")
    wanted = Wanted(
        checkpoint=checkpoint or one.checkpoint,
        revision=revision,
        random=weights == "random",
        size=size,
        device=device,
        dtype=dtype,
        threads=threads,
        optimizations=optimizations,
        settings=_settings(one, settings),
    )
    python = required(short).python
    assert python is not None  # of an engine that is ready
    process: Process
    if inside(python):
        process = Here(Host(one, wanted))
    else:
        process = Worker(_HOST, one, wanted, python=python, name=short)
    try:
        return GuestEngine(one, process)
    except BaseException:
        process.close()
        raise


def _settings(one: Guest, given: Mapping[str, Any]) -> dict[str, Any]:
    """The engine's settings with what was ``given``.

    InputError for one that it doesn't have or that is of another type; a setting's range is
    checked by the settings' own class.
    """
    module = importlib.import_module(one.target.partition(":")[0])
    known = get_type_hints(module.Settings)
    unknown = [name for name in given if name not in known]
    if unknown:
        raise InputError(
            f"{one.name} has no setting {', '.join(map(repr, unknown))}",
            f"use {', '.join((*known, 'size'))}",
        )
    for name, value in given.items():
        kinds = get_args(known[name]) or (known[name],)
        if not _fits(value, kinds):
            raise InputError(
                f"{one.name} with {name}={value!r}",
                f"give {' or '.join(_KINDS[kind] for kind in kinds)}",
            )
    return asdict(module.Settings(**given))


def _fits(value: Any, kinds: tuple[Any, ...]) -> bool:
    """Whether ``value`` is of one of ``kinds``: whole numbers are numbers, truths aren't."""
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, int | float) and float in kinds:
        return math.isfinite(value)
    return isinstance(value, kinds)
