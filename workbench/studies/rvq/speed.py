"""How fast the search of codebooks is against its limit, and when that matters.

The second half of notebook 40's measurement; the figures are ``workbench.studies.rvq.bench``'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from workbench.measure.findings import rounded
from workbench.profiling.capture import TRACE_SUFFIX, capture
from workbench.profiling.events import read_events
from workbench.profiling.tables import OperatorRow, by_operator
from workbench.profiling.trace import Trace
from workbench.studies.rvq.bench import COMPILED, NATIVE, TRANSFORMERS, TRANSPOSED, bench

_NAMES: Mapping[str, str] = {
    NATIVE: "native",
    TRANSFORMERS: "transformers",
    TRANSPOSED: "best of PyTorch: addmm",
    COMPILED: "the same, compiled",
}
LIMIT_FLOAT = "limit: read and multiply float32"
LIMIT_BYTES = "limit: read the 8-bit table"
_FRAME_RATE_HZ = 12.5  # Mimi's


@dataclass(frozen=True)
class EagerLoop:
    """What transformers' quantizer calls to search ``frames`` frames, under the profiler."""

    frames: int
    codebooks: int
    rows: tuple[OperatorRow, ...]
    calls: int  # of operators, from Python

    @property
    def finding(self) -> str:
        """How many calls, and which operator takes most."""
        most = max(self.rows, key=lambda row: row.self_ms)
        share = most.self_ms / sum(row.self_ms for row in self.rows)
        return (
            f"{self.codebooks} codebooks are {self.calls:,} operator calls one after another; "
            f"{most.operator} takes {share:.0%}"
        )


def eager_loop(codec: Any, out: Path | str, frames: int = 1) -> EagerLoop:
    """Profiles ``codec.quantizer.encode`` on random latents; its trace goes into ``out``.

    Raises OutputError where it can't be written.
    """
    latents = torch.randn(1, codec.config.hidden_size, frames)
    path = Path(out) / f"quantizer{TRACE_SUFFIX}"
    with torch.inference_mode():
        capture(lambda: codec.quantizer.encode(latents), path, device=torch.device("cpu"))
    trace = Trace(read_events(path))
    calls = sum(operator.outermost for operator in trace.operators)
    return EagerLoop(frames, codec.config.num_quantizers, tuple(by_operator(trace)), calls)


@dataclass(frozen=True)
class Speed:
    """``workbench.studies.rvq.bench.bench``'s figures, in words and as curves over the frames."""

    found: dict[str, Any]
    table_bytes: int  # of all codebooks in float32
    flops_per_frame: int
    read_gbs: float  # of that table
    compact_gbs: float  # of the native search's, a quarter of it, which a cache may hold
    matmul_gflops: float
    machine: str

    @property
    def lengths(self) -> list[int]:
        """Frames of each measurement."""
        return [int(length) for length in self.found["frames"]]

    @property
    def curves(self) -> dict[str, dict[int, float]]:
        """Milliseconds by frames, of each way and of the two limits."""
        times = {
            words: {int(length): one[f"{name}_ms"] for length, one in self.found["frames"].items()}
            for name, words in _NAMES.items()
            if f"{name}_ms" in next(iter(self.found["frames"].values()))
        }
        return {**times, **self.limits_ms}

    @property
    def limits_ms(self) -> dict[str, dict[int, float]]:
        """What reading and multiplying take at least at this machine's ceilings.

        In float32, and for the native search's table of 8 bits, whose products aren't float32's.
        """
        read_ms = self.table_bytes / self.read_gbs / 1e6
        compact_ms = self.table_bytes / 4 / self.compact_gbs / 1e6
        product_ms = self.flops_per_frame / self.matmul_gflops / 1e6
        return {
            LIMIT_FLOAT: {length: max(read_ms, length * product_ms) for length in self.lengths},
            LIMIT_BYTES: dict.fromkeys(self.lengths, compact_ms),
        }

    @property
    def exact(self) -> bool:
        """Whether every code is the one that float64 finds."""
        return all(one["exact"] for one in self.found["frames"].values())

    @property
    def finding(self) -> str:
        """How many times as fast as the best of PyTorch, over all lengths."""
        gains = [one["vs_best_torch"] for one in self.found["frames"].values()]
        low, high = rounded(min(gains)), rounded(max(gains))
        span = low if low == high else f"{low} to {high}"
        return f"Native search: {span} times as fast as the best of PyTorch"

    @property
    def exactness_finding(self) -> str:
        """All codes exact or not, and how many of transformers' differ."""
        codes = sum(one["codes"] for one in self.found["frames"].values())
        wrong = sum(one["wrong"] for one in self.found["frames"].values())
        theirs = sum(one["differs_from_transformers"] for one in self.found["frames"].values())
        native = f"all {codes:,} native codes are" if not wrong else f"{wrong:,} codes are not"
        return f"{native} those that float64 finds; {theirs:,} of transformers' are others"

    @property
    def whole_finding(self) -> str:
        """What a whole encode gains, where the search is a part of it."""
        length, one = list(self._whole().items())[-1]
        gain, share = one["whole_encode"]["vs_transformers"], self._share(one)
        return (
            f"A whole encode of {length / _FRAME_RATE_HZ:.3g} s gains {gain:.2f}×, as the search "
            f"is {share:.0%} of it"
        )

    def rows(self) -> list[dict[str, Any]]:
        """One row a length: times, gains, exactness."""
        return [
            {
                "frames": int(length),
                **{f"{name} (ms)": one[f"{name}_ms"] for name in _NAMES if f"{name}_ms" in one},
                "times the best of PyTorch": one["vs_best_torch"],
                "times transformers": one["vs_transformers"],
                "exact": one["exact"],
                "others in transformers": one["differs_from_transformers"],
            }
            for length, one in self.found["frames"].items()
        ]

    def uses(self) -> list[dict[str, Any]]:
        """When it matters: what is searched for in each use, and what the native search saves."""
        rows: list[dict[str, Any]] = [
            {"use": "speaking", "frames searched": 0, "encode (ms)": 0.0,
             "search's share (%)": 0.0, "saved (ms)": 0.0}
        ]  # fmt: skip
        for length, one in self._whole().items():
            whole = one["whole_encode"]
            name = "listening, a frame at a time" if length == 1 else "cloning, a reference of "
            if length != 1:
                name += f"{length / _FRAME_RATE_HZ:.3g} s"
            rows.append({
                "use": name,
                "frames searched": length,
                "encode (ms)": whole["transformers_ms"],
                "search's share (%)": 100 * self._share(one),
                "saved (ms)": whole["transformers_ms"] - whole["native_ms"],
            })  # fmt: skip
        length, one = list(self._whole().items())[-1]
        whole, times = one["whole_encode"], 3600 * _FRAME_RATE_HZ / length
        rows.append({
            "use": "data preparation, an hour of speech",
            "frames searched": round(times * length),
            "encode (ms)": times * whole["transformers_ms"],
            "search's share (%)": 100 * self._share(one),
            "saved (ms)": times * (whole["transformers_ms"] - whole["native_ms"]),
        })  # fmt: skip
        return rows

    def _whole(self) -> dict[int, dict[str, Any]]:
        frames = self.found["frames"]
        return {int(length): one for length, one in frames.items() if "whole_encode" in one}

    @staticmethod
    def _share(one: dict[str, Any]) -> float:
        """Of transformers' whole encode; at most all of it, as both are medians."""
        return min(1.0, float(one["transformers_ms"] / one["whole_encode"]["transformers_ms"]))

    @property
    def verdict(self) -> str:
        """What was learned, in words."""
        return (
            f"{self.finding}; {self.exactness_finding}. {self.whole_finding}. It matters where "
            "much speech is encoded (data, references); speaking only looks codes up."
        )


def measure_speed(
    codec: Any, ceilings: Any, machine: str, *, frames: Sequence[int], **settings: Any
) -> Speed:
    """``rvq.bench`` on ``codec``, beside what this machine's ``ceilings`` allow on the CPU.

    ``settings`` are the bench's.
    """
    config = codec.config
    entries = config.num_quantizers * config.codebook_size * config.codebook_dim

    def read_gbs(size_bytes: int) -> float:
        fits = size_bytes <= ceilings.cache_bytes.get("cpu", 0)
        return (ceilings.cached_gbs("cpu") if fits else None) or ceilings.memory_gbs("cpu")

    return Speed(
        found=bench(codec, frames=frames, **settings),
        table_bytes=4 * entries,
        flops_per_frame=2 * entries,
        read_gbs=read_gbs(4 * entries),
        compact_gbs=read_gbs(entries),
        matmul_gflops=ceilings.matmul_gflops("float32", "cpu"),
        machine=machine,
    )
