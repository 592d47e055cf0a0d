"""Whether all arms' workers fit into memory side by side."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from workbench.hardware import cpu, gpus

_RESERVE = 1.25  # trials need more than the loaded and warmed-up model
_GIB = 1 << 30


@dataclass(frozen=True)
class Memory:
    """Bytes of the host and of each GPU: what is free, or what a worker takes."""

    host: int
    gpus: tuple[int, ...] = ()

    def less(self, other: Memory) -> Memory:
        """This much without ``other``; never below zero."""
        pairs = zip(self.gpus, other.gpus, strict=False)
        return Memory(max(0, self.host - other.host), tuple(max(0, a - b) for a, b in pairs))

    def most(self, other: Memory) -> Memory:
        """The larger of both, for the host and each GPU."""
        pairs = zip(self.gpus, other.gpus, strict=False)
        of_gpus = tuple(max(a, b) for a, b in pairs) or self.gpus or other.gpus
        return Memory(max(self.host, other.host), of_gpus)


def free() -> Memory:
    """What is free now, within the container's limit where there is one."""
    import psutil

    host = psutil.virtual_memory().available
    limit = cpu.memory_limit_bytes()
    if limit is not None:
        own = psutil.Process()
        pids = [own.pid, *(child.pid for child in own.children(recursive=True))]
        host = min(host, limit - sum(map(resident, pids)))
    devices, _ = gpus.read_states()
    return Memory(max(0, host), tuple(device["memory_free_bytes"] or 0 for device in devices))


def resident(pid: int) -> int:
    """Bytes of memory that a process holds; 0 where it is gone."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        return int(psutil.Process(pid).memory_info().rss)
    return 0


def too_little(room: Memory, need: Memory, workers: int) -> str:
    """Why ``workers`` more that need ``need`` each don't fit into ``room``; empty if they do."""
    places = [("of memory", room.host, need.host)] + [
        (f"on GPU {index}", have, want)
        for index, (have, want) in enumerate(zip(room.gpus, need.gpus, strict=False))
    ]
    for place, have, want in places:
        if _RESERVE * workers * want > have:
            return (
                f"{workers} more workers of {want / _GIB:.1f} GiB each don't fit into the free "
                f"{have / _GIB:.1f} GiB {place}"
            )
    return ""
