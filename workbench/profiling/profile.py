"""Where an engine's time goes: one request, timed without the profiler and then looked into.

found = profile(engine, "good morning", out="outputs/profile")
print(found.describe())
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import InputError
from workbench.files import write_json
from workbench.hardware.fingerprint import fingerprint, label
from workbench.profiling import findings, tables
from workbench.profiling.events import read_events
from workbench.profiling.memory import MemoryUse, memory_use
from workbench.profiling.roofline import FrameLimit
from workbench.profiling.timeline import FrameLine, frame_line
from workbench.profiling.trace import Gap, Trace, total_us

if TYPE_CHECKING:
    from workbench.engines.speech import Speech
    from workbench.hardware.ceilings import Ceilings

FORMAT = 1  # of the JSON


@dataclass(frozen=True)
class Profile:
    """What was found. Speed is ``times_ms``; what the profiler saw only says where it goes.

    ``times_ms`` are whole requests without the profiler, ``clocked_ms`` by stage with the
    engine's own clock (one dict a run); ``profiled_ms`` is the same request under the profiler.
    ``frames`` were made, the end-of-audio frame included.
    """

    engine: str
    implementation: str
    optimizations: tuple[str, ...]
    machine: str
    dtype: str
    text: str
    frames: int
    times_ms: tuple[float, ...]
    clocked_ms: tuple[Mapping[str, float], ...]
    profiled_ms: float
    trace_path: Path
    trace: Trace
    limit: FrameLimit | None
    suggestions: tuple[tuple[str, str], ...] = ()

    def by_stage(self) -> list[tables.StageRow]:
        """One row a stage; see ``StageRow``."""
        return tables.by_stage(self.trace, self.frames, self.stages_ms, self.limit)

    def by_operator(
        self, count: int | None = None, *, shapes: bool = False
    ) -> list[tables.OperatorRow]:
        """The operators that took most; see ``OperatorRow``."""
        return tables.by_operator(self.trace, count, shapes=shapes)

    def by_kernel(self, count: int | None = None) -> list[tables.KernelRow]:
        """The kernels that took most of the GPU's time; empty on the CPU."""
        return tables.by_kernel(self.trace, count)

    def gaps(self, count: int | None = None) -> list[Gap]:
        """The longest times in which nothing ran."""
        return sorted(self.trace.gaps, key=lambda gap: gap.duration_us, reverse=True)[:count]

    @property
    def time_ms(self) -> float:
        """Median time of a request without the profiler."""
        return statistics.median(self.times_ms)

    @property
    def stages_ms(self) -> dict[str, float]:
        """Median time of each stage without the profiler."""
        names = dict.fromkeys(name for run in self.clocked_ms for name in run)
        return {
            name: statistics.median(run.get(name, 0.0) for run in self.clocked_ms) for name in names
        }

    @cached_property
    def counts(self) -> tables.FrameCounts:
        """What happens in a frame, on average."""
        return tables.counts(self.trace, self.frames)

    @property
    def launches_per_frame(self) -> float:
        """On a GPU launches of kernels and graphs; on the CPU operators called from Python."""
        if self.trace.on_gpu:
            return self.counts.kernel_launches + self.counts.graph_launches
        return self.counts.operators

    @property
    def idle(self) -> float:
        """Share of the profiled time in which no kernel (GPU) or operator (CPU) ran.

        The profiler slows the host down, so without it the share is smaller.
        """
        return 1 - total_us(self.trace.busy) / self.trace.duration_us

    @property
    def overhead(self) -> float:
        """How many times longer the request took under the profiler."""
        return self.profiled_ms / self.time_ms

    @property
    def limit_share(self) -> float | None:
        """Share of the roofline that the stages of a frame reach together; None without one."""
        if self.limit is None:
            return None
        rows = [row for row in self.by_stage() if row.limit_ms is not None and row.time_ms]
        time_ms = sum(row.time_ms or 0.0 for row in rows)
        return sum(row.limit_ms or 0.0 for row in rows) / time_ms if time_ms else None

    @cached_property
    def memory(self) -> MemoryUse | None:
        """What the request allocates; None where that wasn't noted."""
        return memory_use(self.trace, self.frames)

    @property
    def finding(self) -> str:
        """What takes the time, how much of it nothing runs, and how far the limit is."""
        return findings.finding(self.by_stage(), self.idle, self.limit_share, self.trace.on_gpu)

    @property
    def verdict(self) -> str:
        """The finding, what to try next, and what profiling cost."""
        tries = "; ".join(f"{name} ({why})" for name, why in self.suggestions[:2])
        advice = f"Try next: {tries}." if tries else "No further switch addresses this here."
        return f"{self.finding}. {advice} {self.overhead_words}"

    @property
    def overhead_words(self) -> str:
        """What the profiler costs, so that nobody takes its times for speed."""
        return (
            f"Under the profiler the request took {self.overhead:.1f} times as long "
            f"({self.profiled_ms:,.0f} instead of {self.time_ms:,.0f} ms)."
        )

    @property
    def stage_chart(self) -> dict[str, dict[str, float]]:
        """The request's one bar, for ``lab.stage_bars``."""
        stages = {findings.stage_words(name): time for name, time in self.stages_ms.items()}
        return {self.bar: stages}

    @property
    def bar(self) -> str:
        """How a plot names the request."""
        return f"{self.frames} frames"

    @property
    def limits_ms(self) -> dict[str, float]:
        """The roofline of the request's frames, for ``lab.stage_bars``; empty without one."""
        return {self.bar: self.frames * self.limit.limit_ms} if self.limit else {}

    def stage_rows(self) -> list[dict[str, Any]]:
        """``by_stage`` as a table shows it."""
        return [_stage_row(row, self.trace.on_gpu) for row in self.by_stage()]

    def count_rows(self) -> list[dict[str, Any]]:
        """``counts`` as a table shows it."""
        return [
            {"what": name.replace("_", " "), "per frame": times}
            for name, times in asdict(self.counts).items()
            if times
        ]

    @property
    def operator_finding(self) -> str:
        """Which operator takes most, and how many calls a frame makes."""
        most = self.by_operator(1)[0]
        whole = "the GPU's time" if self.trace.on_gpu else "the operators' time"
        rows = self.by_operator()
        times = [row.device_ms if self.trace.on_gpu else row.self_ms for row in rows]
        what = "launches" if self.trace.on_gpu else "operator calls"
        return (
            f"{most.operator} takes {findings.percent(times[0] / sum(times))} of {whole}; "
            f"a frame makes {self.launches_per_frame:,.0f} {what}"
        )

    @cached_property
    def frame(self) -> FrameLine:
        """One frame on a time line."""
        return frame_line(self.trace)

    @property
    def frame_finding(self) -> str:
        """How much of a frame nothing runs, and in how many gaps."""
        nothing = "no kernel" if self.trace.on_gpu else "no operator"
        return (
            f"For {findings.percent(self.frame.idle_share)} of a frame {nothing} runs, "
            f"in {len(self.frame.idle):,} gaps"
        )

    @property
    def memory_finding(self) -> str:
        """The peak and the allocations of a frame."""
        if self.memory is None:
            return "allocations were not noted"
        return (
            f"A request takes {self.memory.peak_bytes / 1e6:,.1f} MB at its peak; each frame "
            f"makes {self.memory.allocations_per_frame:,.0f} allocations"
        )

    @property
    def caption(self) -> str:
        """Engine, switches, machine and n, for plots."""
        switches = ", ".join(self.optimizations) or "no switches"
        return f"{self.engine} ({switches}) · {self.dtype} · {self.machine} · {self.frames} frames"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the timeline of memory is left in the trace."""
        memory = asdict(self.memory) if self.memory else None
        if memory:
            del memory["timeline"]
        return {
            "format": FORMAT,
            "engine": self.engine,
            "implementation": self.implementation,
            "optimizations": list(self.optimizations),
            "machine": self.machine,
            "dtype": self.dtype,
            "text": self.text,
            "frames": self.frames,
            "times_ms": list(self.times_ms),
            "time_ms": self.time_ms,
            "profiled_ms": self.profiled_ms,
            "overhead": self.overhead,
            "on_gpu": self.trace.on_gpu,
            "idle": self.idle,
            "limit_share": self.limit_share,
            "limit": self.limit.to_dict() if self.limit else None,
            "stages": [
                asdict(row) | {"gbs": row.gbs, "gflops": row.gflops, "limit_share": row.limit_share}
                for row in self.by_stage()
            ],
            "operators": [asdict(row) for row in self.by_operator(20)],
            "kernels": [asdict(row) for row in self.by_kernel(20)],
            "launches_per_frame": self.launches_per_frame,
            "per_frame": asdict(self.counts),
            "gaps": [asdict(gap) for gap in self.gaps(10)],
            "memory": memory,
            "finding": self.finding,
            "suggestions": [{"switch": name, "why": why} for name, why in self.suggestions],
            "trace": self.trace_path.name,
        }

    def describe(self) -> str:
        """The table by stage and the finding, for a terminal."""
        head = (
            f"{'stage':<20}{'time (ms)':>10}{'share':>7}{'idle':>6}{'ops':>8}{'launches':>9}"
            f"{'GB/s':>8}{'GFLOP/s':>9}{'of limit':>9}"
        )
        total = sum(self.stages_ms.values())
        lines = [head]
        for row in self.by_stage():
            time_ms = row.time_ms or 0.0
            idle = row.idle_ms / (row.idle_ms + row.busy_ms) if row.idle_ms + row.busy_ms else 0.0
            cells = [
                f"{row.gbs:.3g}" if row.gbs else "–",
                f"{row.gflops:.3g}" if row.gflops else "–",
                findings.percent(row.limit_share) if row.limit_share else "–",
            ]
            lines.append(
                f"{findings.stage_words(row.stage):<20}{time_ms:>10,.2f}{time_ms / total:>7.0%}"
                f"{idle:>6.0%}{row.operators:>8,}{row.launches:>9,}"
                f"{cells[0]:>8}{cells[1]:>9}{cells[2]:>9}"
            )
        what = "launches" if self.trace.on_gpu else "operator calls"
        return "\n".join([
            *lines,
            f"{self.launches_per_frame:,.0f} {what} a frame, {self.frames} frames",
            self.verdict,
        ])  # fmt: skip


def profile(
    engine: Any,
    text: str,
    *,
    out: Path | str,
    frames: int = 8,
    warm_up: int = 1,
    runs: int = 3,
    voice: int | None = None,
    seed: int = 0,
    ceilings: Ceilings | None = None,
    memory: bool = True,
    stacks: bool = False,
) -> Profile:
    """Profiles ``text`` spoken by ``engine``, at most ``frames`` frames of it.

    The request runs ``warm_up`` times uncounted, ``runs`` times timed, ``runs`` times with the
    engine's clock in every stage, and twice under the profiler. Into the folder ``out`` go the
    trace (``<engine>.pt.trace.json.gz``, for TensorBoard and Perfetto) and ``profile.json``.
    ``ceilings`` give the roofline to stand beside. ``stacks`` adds Python functions to the trace.

    Raises InputError for settings that make no sense, OutputError where ``out`` can't be written.
    """
    from workbench.profiling.capture import TRACE_SUFFIX, capture

    least = {"frames": (frames, 2), "runs": (runs, 1), "warm_up": (warm_up, 0)}
    for setting, (value, floor) in least.items():
        if value < floor:
            raise InputError(f"{setting} of {value}", f"use at least {floor}")
    out = Path(out)

    request = request_of(engine, text, frames, voice=voice, seed=seed)
    for _ in range(warm_up):
        request()
    times_ms = tuple(_timed_ms(request) for _ in range(runs))
    clocked_ms = tuple(dict(request(True).stages_ms) for _ in range(runs))
    name = Path(engine.name).name
    trace_path = out / f"{name}{TRACE_SUFFIX}"
    speech, profiled_ms = capture(
        request, trace_path, device=engine.device, memory=memory, stacks=stacks
    )
    made = speech.frames + (speech.ended == "eos")
    if made < 1:
        raise InputError("the model made no frame", "try another text or seed")
    trace = Trace(read_events(trace_path))
    limit = _limit(engine, ceilings)
    found = Profile(
        engine=engine.name,
        implementation=engine.implementation,
        optimizations=tuple(engine.optimizations),
        machine=label(fingerprint()),
        dtype=str(engine.dtype).removeprefix("torch."),
        text=text,
        frames=made,
        times_ms=times_ms,
        clocked_ms=clocked_ms,
        profiled_ms=profiled_ms,
        trace_path=trace_path,
        trace=trace,
        limit=limit,
    )
    found = _advised(found, engine)
    write_json(out / "profile.json", found.to_dict())
    return found


def _stage_row(row: tables.StageRow, on_gpu: bool) -> dict[str, Any]:
    looked_at_ms = row.busy_ms + row.idle_ms
    share = row.limit_share
    return {
        "stage": findings.stage_words(row.stage),
        "time (ms)": row.time_ms,
        "idle (%)": 100 * row.idle_ms / looked_at_ms if looked_at_ms else None,
        ("launches" if on_gpu else "operator calls"): row.launches if on_gpu else row.operators,
        "GB/s": row.gbs,
        "GFLOP/s": row.gflops,
        "roofline (ms)": row.limit_ms,
        "of the roofline (%)": None if share is None else 100 * share,
    }


def request_of(
    engine: Any, text: str, frames: int, *, voice: int | None = None, seed: int = 0
) -> Callable[..., Speech]:
    """A function that speaks ``text`` once, the same each time; it takes ``time_stages``."""
    spoken_by = next(iter(engine.voices)) if voice is None else voice

    def request(time_stages: bool = False) -> Speech:
        stream = engine.stream(
            text, voice=spoken_by, seed=seed, max_frames=frames, time_stages=time_stages
        )
        for _ in stream:
            pass
        speech: Speech = stream.speech
        return speech

    return request


def _timed_ms(request: Any) -> float:
    started = time.perf_counter()
    request()
    return (time.perf_counter() - started) * 1000


def _limit(engine: Any, ceilings: Ceilings | None) -> FrameLimit | None:
    from workbench.profiling.roofline import frame_limit

    if ceilings is None:
        return None
    codec = next(engine.codec.parameters()).dtype
    return frame_limit(
        engine.config,
        ceilings,
        str(engine.dtype).removeprefix("torch."),
        codec_dtype=str(codec).removeprefix("torch."),
        device="cpu" if engine.device.type == "cpu" else None,
    )


def _advised(found: Profile, engine: Any) -> Profile:
    advice = findings.suggestions(
        engine, found.by_stage(), found.counts, found.idle, found.limit_share, found.trace.on_gpu
    )
    return replace(found, suggestions=tuple(advice))
