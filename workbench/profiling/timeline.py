"""One frame on a time line: its stages, and when something or nothing ran."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from itertools import pairwise

from workbench.errors import InputError
from workbench.profiling.findings import stage_words
from workbench.profiling.trace import HOST, Trace

_FRAME_STAGES = ("graph", "depth")  # the first that ran begins a frame


@dataclass(frozen=True)
class FrameLine:
    """A frame of ``length_ms``; spans are (start, length) in ms from its begin.

    ``stages`` are (name in words, start, length), host code between them included.
    """

    number: int
    length_ms: float
    stages: tuple[tuple[str, float, float], ...]
    busy: tuple[tuple[float, float], ...]
    idle: tuple[tuple[float, float], ...]
    on_gpu: bool

    @property
    def idle_share(self) -> float:
        """Share of the frame in which nothing ran."""
        return sum(length for _, length in self.idle) / self.length_ms


def frame_line(trace: Trace) -> FrameLine:
    """The frame of ``trace`` that is nearest to the median length.

    A frame reaches from one begin of the depth decoder (or of the frame's graph) to the next.
    Raises InputError where the request made fewer than two frames.
    """
    first = next((name for name in _FRAME_STAGES if name in trace.stage_us), "")
    begins = [stage.start_us for stage in trace.stages if trace.stage_at(stage.start_us) == first]
    if len(begins) < 2:
        raise InputError("fewer than two frames in the trace", "profile more frames")
    lengths = [end - start for start, end in pairwise(begins)]
    middle = statistics.median(lengths)
    number = min(range(len(lengths)), key=lambda place: abs(lengths[place] - middle))
    start, end = begins[number], begins[number + 1]

    def within(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(max(a, start), min(b, end)) for a, b in spans if a < end and b > start]

    stages: list[tuple[str, float, float]] = []
    reached = start
    for stage in trace.stages:
        if not start <= stage.start_us < end:
            continue
        if stage.start_us > reached:
            stages.append((HOST, reached, stage.start_us))
        reached = min(end, stage.end_us)
        stages.append((trace.stage_at(stage.start_us), stage.start_us, reached))
    if end > reached:
        stages.append((HOST, reached, end))
    busy = within(trace.busy)
    edges = [start, *(edge for span in busy for edge in span), end]
    idle = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]
    return FrameLine(
        number=number,
        length_ms=(end - start) / 1000,
        stages=tuple(
            (stage_words(name), (a - start) / 1000, (b - a) / 1000) for name, a, b in stages
        ),
        busy=_from(busy, start),
        idle=_from(idle, start),
        on_gpu=trace.on_gpu,
    )


def _from(spans: list[tuple[float, float]], start: float) -> tuple[tuple[float, float], ...]:
    return tuple(((a - start) / 1000, (b - a) / 1000) for a, b in spans)
