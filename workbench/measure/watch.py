"""What else the machine did while trials ran: steal time, other processes, throttled GPUs.

The load average would count our own workers, so it isn't used. The time that other processes
took is what the processor worked in all, less what this process and its workers' trees used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.hardware import gpus

_TREE_TIMES = ("user", "system", "children_user", "children_system")
_GPU_STATE = ("index", "throttle_reasons", "sm_clock_mhz", "temperature_c", "power_w")
# Clocks that someone has set are steady: the best that a measurement can have.
_STEADY = gpus.HARMLESS_REASONS | {"application clocks setting"}


@dataclass(frozen=True)
class Limits:
    """From where on a study counts as disturbed and gets no verdict.

    Shares of the processor's time (all cores): ``others`` by other processes, ``steal`` by other
    virtual machines; ``throttled`` is the share of readings at which a GPU held its clocks back.
    """

    others: float = 0.10
    steal: float = 0.01
    throttled: float = 0.05


@dataclass(frozen=True)
class Span:
    """What was seen while rounds ``first`` to ``last`` ran (``cpu_s``: of all cores together)."""

    first: int
    last: int
    cpu_s: float
    others_s: float
    steal_s: float
    gpus: tuple[dict[str, Any], ...] = ()

    def throttled(self, used: Collection[int]) -> set[str]:
        """Why GPUs of these NVML indices held their clocks back; often nothing."""
        return {
            f"{reason} (GPU {device['index']})"
            for device in self.gpus
            if device["index"] in used
            for reason in set(device["throttle_reasons"] or ()) - _STEADY
        }


@dataclass(frozen=True)
class _Reading:
    total_s: float
    busy_s: float
    steal_s: float
    ours_s: float


class Watch:
    """Reads the machine before and after each span of trials; ``pids`` gives our workers'."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids
        self.spans: list[Span] = []

    @contextlib.contextmanager
    def over(self, first: int, last: int) -> Iterator[None]:
        """Notes what happens in the block, in which rounds ``first`` to ``last`` run."""
        before = self._read()
        try:
            yield
        finally:
            after = self._read()
            devices, _ = gpus.read_states()
            ours_s = after.ours_s - before.ours_s
            self.spans.append(
                Span(
                    first,
                    last,
                    round(after.total_s - before.total_s, 3),
                    round(max(0.0, after.busy_s - before.busy_s - ours_s), 3),
                    round(max(0.0, after.steal_s - before.steal_s), 3),
                    tuple({name: device[name] for name in _GPU_STATE} for device in devices),
                )
            )

    def _read(self) -> _Reading:
        import psutil

        times = psutil.cpu_times()._asdict()
        for twice in ("guest", "guest_nice"):  # Linux counts them as user time as well
            times.pop(twice, None)
        total_s = sum(times.values())
        steal_s = times.get("steal", 0.0)
        idle_s = times["idle"] + times.get("iowait", 0.0)
        return _Reading(total_s, total_s - idle_s - steal_s, steal_s, self._ours_s())

    def _ours_s(self) -> float:
        import psutil

        ours = [psutil.Process()]
        for pid in self._pids():
            with contextlib.suppress(psutil.NoSuchProcess):
                worker = psutil.Process(pid)
                ours += [worker, *worker.children(recursive=True)]
        used_s = 0.0
        for process in ours:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                # With those of children that ended: a worker that dies is still counted.
                used_s += sum(getattr(times, name, 0.0) for name in _TREE_TIMES)
        return used_s


def disturbances(spans: Sequence[Span], limits: Limits, used: Collection[int] = ()) -> list[str]:
    """What disturbed the trials beyond ``limits``, in sentences; often none.

    ``used`` are the NVML indices of the GPUs that the arms ran on.
    """
    if not spans:
        return []
    found = []
    total_s = sum(span.cpu_s for span in spans)
    if total_s > 0:
        others = sum(span.others_s for span in spans) / total_s
        steal = sum(span.steal_s for span in spans) / total_s
        if others > limits.others:
            found.append(f"other processes took {others:.0%} of the processor's time")
        if steal > limits.steal:
            found.append(f"other virtual machines took {steal:.0%} of the processor's time")
    throttled = [reasons for span in spans if (reasons := span.throttled(used))]
    share = len(throttled) / len(spans)
    if share > limits.throttled:
        words = ", ".join(sorted(set().union(*throttled)))
        found.append(f"clocks were held back in {share:.0%} of the readings: {words}")
    return found
