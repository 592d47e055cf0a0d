"""The events of a profiler's trace, read from the Chrome trace that torch.profiler writes.

The file is the one that TensorBoard and Perfetto open, so a table made from it can be made again
from the file alone, and be checked by eye in either. Format:
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU (Chrome's "Trace
Event Format"); the categories are Kineto's (https://github.com/pytorch/kineto).
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from workbench.errors import InputError
from workbench.native.watched import RANGE as NATIVE_RANGE

Kind = Literal["operator", "range", "call", "kernel", "copy", "memory"]

_KINDS: Mapping[str, Kind] = {
    "cpu_op": "operator",
    "user_annotation": "range",
    "cuda_runtime": "call",
    "cuda_driver": "call",
    "kernel": "kernel",
    "gpu_memcpy": "copy",
    "gpu_memset": "copy",
    "cpu_instant_event": "memory",
}
MEMORY = "[memory]"
_PROFILERS_OWN = "profiler::"  # operators that open and close ranges
_NATIVE = re.compile(re.escape(NATIVE_RANGE) + r"(\w+) flops=(\d+) bytes=(\d+)")


@dataclass(frozen=True, slots=True)
class Event:
    """One event. Times are µs on the trace's clock; ``end_us`` of an instant is its start.

    ``operator``: one of PyTorch's, with the ``shapes``, ``types`` and ``values`` of its inputs, or
    a native call with its ``work`` (operations, bytes); ``range``: a ``record_function`` block;
    ``call``: of the CUDA driver or runtime; ``kernel`` and ``copy``: work on the GPU, whose
    ``correlation`` is that of the call which asked for it; ``memory``: an allocation (``bytes`` >
    0) or its end, after which ``allocated_bytes`` are held on ``device``. ``thread`` is the host's
    thread, or the GPU's stream.
    """

    name: str
    kind: Kind
    start_us: float
    end_us: float
    thread: str = ""
    correlation: int = 0
    shapes: tuple[Any, ...] = ()
    types: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    bytes: int = 0
    allocated_bytes: int = 0
    device: Literal["cpu", "gpu"] = field(default="cpu")
    work: tuple[int, int] | None = None

    @property
    def duration_us(self) -> float:
        """How long it took."""
        return self.end_us - self.start_us


def read_events(path: Path | str) -> list[Event]:
    """The events of a trace file (``.json`` or ``.json.gz``), in order of their start.

    Raises InputError where the file isn't a trace.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        plain = gzip.decompress(content) if path.suffix == ".gz" else content
        entries = json.loads(plain, strict=False)["traceEvents"]
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as problem:
        raise InputError(
            f"{path} isn't a profiler's trace ({type(problem).__name__}: {problem})",
            "name a .pt.trace.json.gz that `workbench profile` wrote",
        ) from problem
    return parse(entries)


def parse(entries: Iterable[Mapping[str, Any]]) -> list[Event]:
    """The entries of a Chrome trace that say something here, in order of their start."""
    found = [event for entry in entries if (event := _event(entry)) is not None]
    # Of two that start together, the longer contains the other.
    return sorted(found, key=lambda event: (event.start_us, -event.end_us))


def _event(entry: Mapping[str, Any]) -> Event | None:
    kind = _KINDS.get(entry.get("cat", ""))
    if kind is None or entry.get("ph") not in ("X", "i"):
        return None
    if kind == "memory" and entry["name"] != MEMORY:
        return None
    if entry["name"].startswith(_PROFILERS_OWN):
        return None
    native = _NATIVE.fullmatch(entry["name"]) if kind == "range" else None
    known: Mapping[str, Any] = entry.get("args", {})
    start_us = float(entry["ts"])
    return Event(
        name=f"workbench::{native[1]}" if native else entry["name"],
        kind="operator" if native else kind,
        start_us=start_us,
        end_us=start_us + float(entry.get("dur", 0)),
        thread=f"{entry.get('pid')}/{entry.get('tid')}",
        correlation=int(known.get("correlation", 0)),
        shapes=tuple(known.get("Input Dims", ())),
        types=tuple(known.get("Input type", ())),
        values=tuple(map(str, known.get("Concrete Inputs", ()))),
        bytes=int(known.get("Bytes", 0)),
        allocated_bytes=int(known.get("Total Allocated", 0)),
        # Kineto's device types: 0 is the CPU, 1 CUDA.
        device="gpu" if known.get("Device Type", 0) == 1 or kind in ("kernel", "copy") else "cpu",
        work=(int(native[2]), int(native[3])) if native else None,
    )
