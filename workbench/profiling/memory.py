"""Memory over a request, from the allocations in its trace."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.profiling.trace import Trace


@dataclass(frozen=True)
class MemoryUse:
    """What a request allocates, on the GPU where it runs on one, else on the host.

    ``at_start_bytes`` were held when it began (on the CPU PyTorch doesn't know, and says 0);
    ``peak_bytes`` is the most above that. ``timeline`` is (ms since the request's start, bytes
    above the start), one entry an allocation or release.
    """

    device: str
    at_start_bytes: int
    peak_bytes: int
    allocations_per_frame: float
    allocated_bytes_per_frame: float
    timeline: tuple[tuple[float, int], ...]


def memory_use(trace: Trace, frames: int) -> MemoryUse | None:
    """The request's memory; None where the trace holds no allocations."""
    device = "gpu" if trace.on_gpu else "cpu"
    events = [e for e in trace.events if e.kind == "memory" and e.device == device]
    if not events:
        return None
    start = events[0].allocated_bytes - events[0].bytes
    made = [event for event in trace.each_frame(events) if event.bytes > 0]
    timeline = tuple(
        ((event.start_us - trace.request.start_us) / 1000, event.allocated_bytes - start)
        for event in events
    )
    return MemoryUse(
        device=device,
        at_start_bytes=start if trace.on_gpu else 0,
        peak_bytes=max(0, *(held for _, held in timeline)),
        allocations_per_frame=len(made) / frames,
        allocated_bytes_per_frame=sum(event.bytes for event in made) / frames,
        timeline=timeline,
    )
