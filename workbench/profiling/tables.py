"""Tables made from a trace: by stage, by operator, by kernel, and what each frame takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter

from workbench.profiling.events import Event
from workbench.profiling.roofline import FrameLimit
from workbench.profiling.trace import Operator, Trace, merged, total_us

# The roofline's parts of each stage of a frame. A CUDA graph runs all but the codec as one stage.
PARTS: Mapping[str, tuple[str, ...]] = {
    "backbone": ("embedding rows", "backbone", "first code's head"),
    "depth": ("depth projection", "depth decoder", "codebook heads"),
    "codec": ("Mimi decoder",),
}
GRAPH = "graph"
_IN_GRAPH = ("backbone", "depth")
_HOST_READS = ("aten::item", "aten::_local_scalar_dense")
_WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


@dataclass(frozen=True)
class StageRow:
    """One stage of a request. ``time_ms`` was taken without the profiler; None where it wasn't.

    ``profiled_ms`` is the host's time under the profiler, ``busy_ms`` that in which the stage's
    kernels (on a GPU) or operators (on the CPU) ran, ``idle_ms`` that in which none ran.
    ``operators`` counts those called from Python. ``bytes``, ``flops`` and ``limit_ms`` are the
    roofline's for all frames of the request, None for what it doesn't cover.
    """

    stage: str
    time_ms: float | None
    profiled_ms: float
    busy_ms: float
    idle_ms: float
    operators: int
    kernels: int
    launches: int
    bytes: int | None = None
    flops: int | None = None
    limit_ms: float | None = None

    @property
    def gbs(self) -> float | None:
        """GB/s that the roofline's bytes were moved at."""
        return self.bytes / self.time_ms / 1e6 if self.bytes and self.time_ms else None

    @property
    def gflops(self) -> float | None:
        """GFLOP/s that the roofline's operations were done at."""
        return self.flops / self.time_ms / 1e6 if self.flops and self.time_ms else None

    @property
    def limit_share(self) -> float | None:
        """Share of the roofline that is reached, 1 being all of it."""
        return self.limit_ms / self.time_ms if self.limit_ms and self.time_ms else None


@dataclass(frozen=True)
class OperatorRow:
    """Calls of one operator (with inputs of these shapes, where they are told apart).

    ``self_ms`` is the host's time without the operators it calls; ``device_ms`` that of the
    kernels it launched itself. Rates count the time that includes what it calls, and are None
    where its work isn't known from its shapes.
    """

    operator: str
    calls: int
    self_ms: float
    total_ms: float
    device_ms: float
    shapes: str
    gflops: float | None
    gbs: float | None


@dataclass(frozen=True)
class KernelRow:
    """Runs of one kernel on the GPU."""

    kernel: str
    runs: int
    total_ms: float


@dataclass(frozen=True)
class FrameCounts:
    """How often each thing happens in a frame of 80 ms, on average; prefill isn't counted.

    ``operators`` are those called from Python. ``host_reads`` are values that Python waits for.
    """

    operators: float
    kernels: float
    kernel_launches: float
    graph_launches: float
    copies: float
    host_reads: float
    waits: float


def by_stage(
    trace: Trace,
    frames: int,
    clocked_ms: Mapping[str, float],
    limit: FrameLimit | None = None,
) -> list[StageRow]:
    """One row a stage, in the order they first ran; the host's own time comes last.

    ``clocked_ms`` are the stages' times without the profiler, ``frames`` the frames made.
    """
    operators = Counter(operator.stage for operator in trace.operators if operator.outermost)
    launches = Counter(trace.stage_at(c.start_us) for c in trace.calls.values() if launches_work(c))
    kernels: Counter[str] = Counter()
    spans: dict[str, list[tuple[float, float]]] = {}
    for event in trace.running:
        stage = trace.stage_of(event)
        kernels[stage] += event.kind == "kernel"
        spans.setdefault(stage, []).append((event.start_us, event.end_us))
    idle_us: dict[str, float] = {}
    for gap in trace.gaps:
        idle_us[gap.stage] = idle_us.get(gap.stage, 0.0) + gap.duration_us
    limits = stage_limits(limit, [*trace.stage_us]) if limit else {}
    return [
        StageRow(
            stage=stage,
            time_ms=clocked_ms.get(stage),
            profiled_ms=time_us / 1000,
            busy_ms=total_us(merged(spans.get(stage, ()))) / 1000,
            idle_ms=idle_us.get(stage, 0.0) / 1000,
            operators=operators[stage],
            kernels=kernels[stage],
            launches=launches[stage],
            bytes=frames * limits[stage][0] if stage in limits else None,
            flops=frames * limits[stage][1] if stage in limits else None,
            limit_ms=frames * limits[stage][2] if stage in limits else None,
        )
        for stage, time_us in trace.stage_us.items()
    ]


def stage_limits(limit: FrameLimit, stages: Iterable[str]) -> dict[str, tuple[int, int, float]]:
    """Bytes, operations and least ms of a frame, by those of ``stages`` that the roofline covers.

    Where a CUDA graph ran, backbone and depth decoder are in it.
    """
    ran = set(stages)
    found: dict[str, tuple[int, int, float]] = {}
    for own, parts in PARTS.items():
        stage = GRAPH if GRAPH in ran and own in _IN_GRAPH else own
        if stage not in ran:
            continue
        nbytes, flops, least_ms = found.get(stage, (0, 0, 0.0))
        found[stage] = (
            nbytes + sum(limit.bytes_by_part[part] for part in parts),
            flops + sum(limit.flops_by_part[part] for part in parts),
            least_ms + sum(limit.limit_ms_by_part[part] for part in parts),
        )
    return found


def by_operator(
    trace: Trace, count: int | None = None, *, shapes: bool = False
) -> list[OperatorRow]:
    """The ``count`` operators (None: all) that took most: on the GPU, or else on the CPU.

    With ``shapes`` calls with inputs of other shapes are rows of their own; else the shapes told
    are the most frequent ones.
    """
    device_us = _device_us(trace)
    groups: dict[tuple[str, str], list[tuple[Operator, float]]] = {}
    for operator, on_device in zip(trace.operators, device_us, strict=True):
        key = (operator.event.name, shapes_text(operator.event) if shapes else "")
        groups.setdefault(key, []).append((operator, on_device))
    rows = []
    for (name, _), members in groups.items():
        # On a GPU an operator's time is that of its kernels, which may be another operator's.
        known = [(o.work, o.event.duration_us) for o, _ in members if o.work and not trace.on_gpu]
        known_us = sum(time_us for _, time_us in known)
        flops = sum(work.flops for work, _ in known)
        nbytes = sum(work.bytes for work, _ in known)
        usual = Counter(shapes_text(operator.event) for operator, _ in members)
        rows.append(
            OperatorRow(
                operator=name.removeprefix("aten::"),
                calls=len(members),
                self_ms=sum(operator.self_us for operator, _ in members) / 1000,
                total_ms=sum(operator.event.duration_us for operator, _ in members) / 1000,
                device_ms=sum(on_device for _, on_device in members) / 1000,
                shapes=usual.most_common(1)[0][0],
                gflops=flops / known_us / 1e3 if known_us and flops else None,
                gbs=nbytes / known_us / 1e3 if known_us and flops else None,
            )
        )
    most = "device_ms" if trace.on_gpu else "self_ms"
    return sorted(rows, key=attrgetter(most), reverse=True)[:count]


def by_kernel(trace: Trace, count: int | None = None) -> list[KernelRow]:
    """The ``count`` kernels (None: all) that took most of the GPU's time; empty on the CPU."""
    groups: dict[str, list[Event]] = {}
    for event in trace.device_events:
        groups.setdefault(event.name, []).append(event)
    rows = [
        KernelRow(name, len(events), sum(event.duration_us for event in events) / 1000)
        for name, events in groups.items()
    ]
    return sorted(rows, key=lambda row: row.total_ms, reverse=True)[:count]


def counts(trace: Trace, frames: int) -> FrameCounts:
    """What happens in each of ``frames`` frames, on average."""
    events = trace.each_frame(trace.events)
    outermost = [operator.event for operator in trace.operators if operator.outermost]
    names = Counter(event.name for event in events if event.kind in ("operator", "call"))
    kinds = Counter(event.kind for event in events)
    calls = [event for event in events if event.kind == "call"]
    graphs = sum(_is_graph_launch(call) for call in calls)
    return FrameCounts(
        operators=len(trace.each_frame(outermost)) / frames,
        kernels=kinds["kernel"] / frames,
        kernel_launches=(sum(map(launches_work, calls)) - graphs) / frames,
        graph_launches=graphs / frames,
        copies=kinds["copy"] / frames,
        # item() calls _local_scalar_dense, which others call alone: the latter is every read.
        host_reads=names[_HOST_READS[1]] / frames or names[_HOST_READS[0]] / frames,
        waits=sum(names[name] for name in _WAITS) / frames,
    )


def launches_work(call: Event) -> bool:
    """Whether this call of CUDA starts kernels: one, or a whole graph."""
    return "LaunchKernel" in call.name or _is_graph_launch(call)


def _is_graph_launch(call: Event) -> bool:
    return call.name.startswith(("cudaGraphLaunch", "cuGraphLaunch"))


def shapes_text(event: Event) -> str:
    """The shapes of an operator's tensors: "1×256, 256×512"."""
    shapes = [shape for shape in event.shapes if shape and all(isinstance(n, int) for n in shape)]
    return ", ".join("×".join(map(str, shape)) for shape in shapes)


def _device_us(trace: Trace) -> list[float]:
    """The GPU's time of the kernels that each operator launched itself, in the trace's order."""
    times = [0.0] * len(trace.operators)
    by_thread: dict[str, list[int]] = {}
    for index, operator in enumerate(trace.operators):
        by_thread.setdefault(operator.event.thread, []).append(index)
    asked: dict[int, float] = {}
    for event in trace.device_events:
        asked[event.correlation] = asked.get(event.correlation, 0.0) + event.duration_us
    calls = [trace.calls[number] for number in asked if number in trace.calls]
    for thread, indices in by_thread.items():
        mine = sorted((c for c in calls if c.thread == thread), key=lambda call: call.start_us)
        place = 0
        stack: list[int] = []
        for call in mine:
            while (
                place < len(indices)
                and trace.operators[indices[place]].event.start_us <= call.start_us
            ):
                stack.append(indices[place])
                place += 1
            while stack and trace.operators[stack[-1]].event.end_us < call.start_us:
                stack.pop()
            # What remains on top is the innermost that goes on.
            if stack:
                times[stack[-1]] += asked[call.correlation]
    return times
