"""What a trace says of one request: its stages, who called whom, and when nothing ran."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from workbench.engines.csm.stages import STAGE_RANGE
from workbench.errors import InputError
from workbench.profiling.events import Event
from workbench.profiling.work import Work, work_of

REQUEST = "request"  # the range around the profiled request
HOST = "host"  # the time of a request outside all of its stages
_ONCE = ("text", "context", "prefill")  # stages that a request has once, not once a frame


@dataclass(slots=True)
class Operator:
    """An operator's event with its place: ``self_us`` is without the operators it calls.

    ``outermost``: called from Python, not by another operator. ``work`` is None where it isn't
    known; an operator and one that it calls may both have it.
    """

    event: Event
    stage: str
    outermost: bool
    self_us: float
    work: Work | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which nothing ran: no kernel on a GPU, no operator on the CPU."""

    start_us: float
    duration_us: float
    stage: str
    before: str  # what ran last
    after: str  # what ran next


class Trace:
    """The events of one request.

    ``on_gpu`` is whether kernels ran: then busy and idle are the GPU's, else the CPU's. Raises
    InputError where ``events`` hold no range called "request".
    """

    def __init__(self, events: Iterable[Event]) -> None:
        found = sorted(events, key=lambda event: (event.start_us, -event.end_us))
        requests = [event for event in found if event.kind == "range" and event.name == REQUEST]
        if not requests:
            raise InputError(
                "a trace without a range called 'request'", "make it with `workbench profile`"
            )
        self.request = requests[-1]
        start_us, end_us = self.request.start_us, self.request.end_us
        self.events = [event for event in found if start_us <= event.start_us <= end_us]
        self.stages = [
            event
            for event in self.events
            if event.kind == "range" and event.name.startswith(STAGE_RANGE)
        ]
        self._starts = [stage.start_us for stage in self.stages]
        self.on_gpu = any(event.kind == "kernel" for event in self.events)

    @property
    def duration_us(self) -> float:
        """The request's time on the host, under the profiler."""
        return self.request.duration_us

    def stage_at(self, time_us: float) -> str:
        """The stage that the host was in; ``host`` outside of all."""
        index = bisect_right(self._starts, time_us) - 1
        if index >= 0 and time_us <= self.stages[index].end_us:
            return self.stages[index].name.removeprefix(STAGE_RANGE)
        return HOST

    @cached_property
    def stage_us(self) -> dict[str, float]:
        """The host's time by stage, in order of their first start; ``host`` is the rest."""
        times: dict[str, float] = {}
        for stage in self.stages:
            name = stage.name.removeprefix(STAGE_RANGE)
            times[name] = times.get(name, 0.0) + stage.duration_us
        return {**times, HOST: max(0.0, self.duration_us - sum(times.values()))}

    @cached_property
    def operators(self) -> list[Operator]:
        """All operators with their nesting, by their start."""
        return list(self._nested())

    @cached_property
    def calls(self) -> dict[int, Event]:
        """CUDA's calls by their correlation."""
        return {event.correlation: event for event in self.events if event.kind == "call"}

    @cached_property
    def device_events(self) -> list[Event]:
        """Kernels and copies on the GPU."""
        return [event for event in self.events if event.kind in ("kernel", "copy")]

    def stage_of(self, event: Event) -> str:
        """The stage that asked for ``event``: for work on a GPU that of its launch."""
        call = self.calls.get(event.correlation) if event.device == "gpu" else None
        return self.stage_at(call.start_us if call else event.start_us)

    def each_frame(self, events: Iterable[Event]) -> list[Event]:
        """Those of ``events`` that come again with every frame: not of text, context, prefill."""
        return [event for event in events if self.stage_of(event) not in _ONCE]

    @cached_property
    def running(self) -> list[Event]:
        """What keeps the machine busy: kernels and copies, or the outermost operators."""
        if self.on_gpu:
            return self.device_events
        return [operator.event for operator in self.operators if operator.outermost]

    @cached_property
    def busy(self) -> list[tuple[float, float]]:
        """Merged times (start, end) in µs in which something ran."""
        return merged((event.start_us, event.end_us) for event in self.running)

    @cached_property
    def gaps(self) -> list[Gap]:
        """The times of the request in which nothing ran, in order; cut where stages begin or end.

        On a GPU a gap belongs to the stage whose kernel came after it: the host was late there.
        """
        gaps: list[Gap] = []
        reached, before = self.request.start_us, "the request's start"
        for event in self.running:
            if event.start_us > reached:
                gaps += self._cut(reached, event.start_us, before, event)
            if event.end_us > reached:
                reached, before = event.end_us, event.name
        if self.request.end_us > reached:
            gaps += self._cut(reached, self.request.end_us, before, None)
        return gaps

    def _cut(self, start: float, end: float, before: str, after: Event | None) -> Iterator[Gap]:
        name = after.name if after else "the request's end"
        if self.on_gpu and after is not None:
            yield Gap(start, end - start, self.stage_of(after), before, name)
            return
        edges = [start, *self._edges_between(start, end), end]
        for left, right in pairwise(edges):
            if right > left:
                yield Gap(left, right - left, self.stage_at((left + right) / 2), before, name)

    def _edges_between(self, start: float, end: float) -> list[float]:
        first = max(0, bisect_right(self._starts, start) - 1)
        last = bisect_right(self._starts, end)
        edges = [
            edge for stage in self.stages[first:last] for edge in (stage.start_us, stage.end_us)
        ]
        return [edge for edge in edges if start < edge < end]

    def _nested(self) -> Iterator[Operator]:
        stacks: dict[str, list[Operator]] = {}
        for event in self.events:
            if event.kind != "operator":
                continue
            stack = stacks.setdefault(event.thread, [])
            while stack and stack[-1].event.end_us <= event.start_us:
                stack.pop()
            stage = self.stage_at(event.start_us)
            operator = Operator(event, stage, not stack, event.duration_us, work_of(event))
            if stack:
                stack[-1].self_us -= event.duration_us
            stack.append(operator)
            yield operator


def merged(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Overlapping spans (start, end) joined, in order."""
    joined: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def total_us(spans: Sequence[tuple[float, float]]) -> float:
    """The length of spans that don't overlap."""
    return sum(end - start for start, end in spans)
