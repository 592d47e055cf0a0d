"""Measured ceilings of this machine: what no program on it can beat.

Three things are measured on each device, on a CPU with one thread and with all:

- **copy**: GB/s of a large copy, bytes read plus bytes written;
- **read**: GB/s at which a matrix-vector product reads its weights. This is what decoding one
  token at a time is bound by: each weight is read once and used for two operations;
- **matmul**: GFLOP/s of a large square product (2 n³ operations), what prefill is bound by.

The medians and the raw samples are kept; a limit (``memory_gbs`` and its siblings) takes the 90th
percentile, because a limit should be hard to beat.

Copy and read go through buffers far larger than the last-level cache, so that they see memory,
on a CPU in huge pages where the system has them.
"cached read" is the read of weights that stay in a CPU's cache, as a small model's do.
GB and GFLOP are 10⁹.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from workbench.errors import InputError
from workbench.hardware import cpu, work
from workbench.hardware.fingerprint import fingerprint, label
from workbench.hardware.timing import Work, time_work
from workbench.pages import ask_for_huge_pages

_ASSUMED_CACHE_BYTES = 64 << 20  # where the system doesn't tell


@dataclass(frozen=True)
class Ceiling:
    """One measured ceiling; ``samples`` are raw, in ``unit`` (GB/s or GFLOP/s)."""

    name: str  # "copy" | "read" | "cached read" | "matmul"
    device: str  # "cpu" | "cuda:0"
    dtype: str  # "float32" | "bfloat16" | "float16" | "tf32"
    threads: int | None  # None on a GPU
    unit: str
    samples: tuple[float, ...]
    size: str  # what was worked on: "256 MiB", "1024 x 1024"

    @property
    def label(self) -> str:
        """What was measured, in a few words: "read, bfloat16, 2 threads"."""
        where = (
            self.device
            if self.threads is None
            else ("1 thread" if self.threads == 1 else f"{self.threads} threads")
        )
        return f"{self.name}, {self.dtype}, {where}"

    @property
    def median(self) -> float:
        """Median of the samples, in ``unit``."""
        return statistics.median(self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        """10th and 90th percentile of the samples, in ``unit``."""
        deciles = statistics.quantiles(self.samples, n=10, method="inclusive")
        return deciles[0], deciles[-1]


@dataclass(frozen=True)
class Ceilings:
    """All ceilings of one machine, with what they were measured under."""

    machine: str
    results: tuple[Ceiling, ...]
    cache_bytes: dict[str, int]  # last-level cache per device
    notes: tuple[str, ...]
    budget_s: float
    took_s: float

    @property
    def device(self) -> str:
        """The device that matters here: the first GPU, else the CPU."""
        return next((one.device for one in self.results if one.device != "cpu"), "cpu")

    def find(self, name: str, dtype: str | None = None, device: str | None = None) -> Ceiling:
        """The best such ceiling on ``device`` (None: the one that matters), any number of threads.

        Raises InputError where it was not measured.
        """
        device = device or self.device
        found = [
            one
            for one in self.results
            if one.name == name and one.device == device and dtype in (None, one.dtype)
        ]
        if not found:
            known = sorted({one.dtype for one in self.results if one.device == device})
            raise InputError(
                f"no {name} ceiling was measured for {dtype or 'any type'} on {device}",
                f"measured there: {', '.join(known) or 'nothing'}",
            )
        return max(found, key=lambda one: one.median)

    def in_unit(self, unit: str) -> list[Ceiling]:
        """The ceilings in ``unit`` of the device that matters."""
        return [one for one in self.results if one.unit == unit and one.device == self.device]

    def memory_gbs(self, device: str | None = None) -> float:
        """The rate that memory was seen to reach, GB/s (90th percentile, copy or read)."""
        return max(self.find(name, device=device).spread[1] for name in ("copy", "read"))

    def cached_gbs(self, device: str | None = None) -> float | None:
        """GB/s at which weights in the cache are read, None where that wasn't measured."""
        try:
            return self.find("cached read", device=device).spread[1]
        except InputError:
            return None

    def matmul_gflops(self, dtype: str, device: str | None = None) -> float:
        """The rate that products in ``dtype`` were seen to reach, GFLOP/s (90th percentile)."""
        return self.find("matmul", dtype, device).spread[1]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; medians and spreads stand beside the samples they come from."""
        derived = [
            asdict(one) | {"samples": list(one.samples), "median": one.median}
            | {"p10": one.spread[0], "p90": one.spread[1]}
            for one in self.results
        ]  # fmt: skip
        return asdict(self) | {"results": derived, "notes": list(self.notes)}

    @staticmethod
    def from_dict(stored: dict[str, Any]) -> Ceilings:
        """The ceilings that ``to_dict`` wrote."""
        fields = ("name", "device", "dtype", "threads", "unit", "size")
        results = tuple(
            Ceiling(**{field: one[field] for field in fields}, samples=tuple(one["samples"]))
            for one in stored["results"]
        )
        return Ceilings(**stored | {"results": results, "notes": tuple(stored["notes"])})


def measure_ceilings(
    budget_s: float = 6.0, *, devices: list[str] | None = None, buffer_bytes: int | None = None
) -> Ceilings:
    """Measures ``devices`` (None: the CPU and every GPU torch sees) in about ``budget_s`` each.

    ``buffer_bytes`` is the size of the two buffers of copy and read; None takes 4 times the
    last-level cache on a CPU and 8 times on a GPU. The thread count is put back afterwards.
    """
    import torch

    begin = time.perf_counter()
    if budget_s <= 0:
        raise InputError(f"a budget of {budget_s} s", "give a positive number of seconds")
    if devices is None:
        devices = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    results: list[Ceiling] = []
    caches: dict[str, int] = {}
    environment = fingerprint()
    notes = [*_busy(environment)]
    for name in devices:
        device = torch.device(name)
        caches[name], note = _cache_of(device)
        notes += [note] if note else []
        size = buffer_bytes or _buffer_bytes(device, caches[name])
        if size < 2 * caches[name]:
            notes.append(f"{name}: buffers of {size >> 20} MiB may partly stay in the cache")
        with work.on_device(device):
            results += _measure_device(device, budget_s, size, caches[name])
    took_s = time.perf_counter() - begin
    return Ceilings(label(environment), tuple(results), caches, tuple(notes), budget_s, took_s)


def _busy(environment: dict[str, Any]) -> Iterator[str]:
    """A note where other programs keep the processor: its ceilings are then higher than seen."""
    average, cores = environment["load"]["average"], environment["cpu"]["usable_cores"]
    if average and cores and average[0] > 0.5 * cores:
        yield (
            f"other programs were running (load {average[0]:.1f} on {cores:g} cores): "
            "this machine's ceilings are higher than measured here"
        )


def _measure_device(
    device: Any, budget_s: float, buffer_bytes: int, cache_bytes: int
) -> Iterator[Ceiling]:
    """Yields each ceiling of one device."""
    import torch

    plain = ("float32", "bfloat16")
    matmuls = plain if device.type == "cpu" else (*plain, "float16", "tf32")
    all_threads = torch.get_num_threads()
    threads: list[int | None] = [*sorted({1, all_threads})] if device.type == "cpu" else [None]
    # One share for each measurement below, and one for filling the buffers.
    share_s = budget_s / (len(threads) * (2 + len(plain) + len(matmuls)) + 1)

    # Ones in every element: as bfloat16 and float16 these bits are normal numbers too.
    source = torch.ones(buffer_bytes // 4, device=device)
    target = torch.empty_like(source).copy_(source)
    if device.type == "cpu":  # as the native kernels' weights: a limit should be hard to beat
        for buffer in (source, target):
            ask_for_huge_pages(buffer.data_ptr(), buffer.nbytes)

    def one(
        name: str, dtype: str, count: int | None, task: Work, amount: float, size: str
    ) -> Ceiling:
        samples = tuple(amount / second / 1e9 for second in time_work(task, device, share_s))
        unit = "GFLOP/s" if name == "matmul" else "GB/s"
        return Ceiling(name, str(device), dtype, count, unit, samples, size)

    for count in threads:
        with work.threads(count):
            copied = f"{source.nbytes >> 20} MiB"
            yield one(
                "copy", "float32", count, lambda: target.copy_(source), 2 * source.nbytes, copied
            )
            for dtype in plain:
                product, nbytes = work.matvec(source, dtype)
                yield one("read", dtype, count, product, nbytes, f"{nbytes >> 20} MiB")
            if device.type == "cpu":
                product, nbytes = work.matvec(source[: cache_bytes // 4 // 4], "float32")
                yield one("cached read", "float32", count, product, nbytes, f"{nbytes >> 20} MiB")
            for dtype in matmuls:
                with work.tf32(dtype == "tf32"):
                    product, n = work.matmul(
                        device, "float32" if dtype == "tf32" else dtype, share_s
                    )
                    yield one("matmul", dtype, count, product, 2 * n**3, f"{n} × {n}")


def _cache_of(device: Any) -> tuple[int, str | None]:
    """Bytes of last-level cache, and a note where they had to be assumed."""
    import torch

    if device.type == "cuda":
        found: int | None = torch.cuda.get_device_properties(device).L2_cache_size
    else:
        found = cpu.last_level_cache_bytes()
    if found:
        return found, None
    assumed = _ASSUMED_CACHE_BYTES
    return assumed, f"{device}: the cache's size is unknown; {assumed >> 20} MiB assumed"


def _buffer_bytes(device: Any, cache_bytes: int) -> int:
    """Far more than the cache, at most an eighth of the free memory for each of two buffers."""
    import torch

    if device.type == "cuda":
        return min(max(8 * cache_bytes, 1 << 30), torch.cuda.mem_get_info(device)[0] // 8)
    from workbench.hardware.fingerprint import state

    free: int | None = state()["memory_available_bytes"]
    wanted = max(4 * cache_bytes, 128 << 20)
    return min(wanted, free // 8) if free else wanted
