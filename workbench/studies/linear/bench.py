"""One linear layer of a decoding step, by each kernel, from weights that no cache holds.

At one to eight rows a layer takes the time of reading its weights, once a step. So each arm goes
through copies of the layer that together are larger than the caches, as a network's layers are, and
beside them an arm that only reads tells what memory gives.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from workbench.errors import InputError
from workbench.hardware.work import threads as cpu_threads
from workbench.measure.statistics import interleaved, paired_ratio, percentiles, timed
from workbench.models.csm.graphs import capture_for
from workbench.native.int4 import Int4Linear
from workbench.native.linear import Int8Linear

Keep = Callable[[str, Sequence[float], str], None]  # name, raw values, unit
Layer = Callable[[Tensor], Tensor]

# [inputs, outputs] of CSM-1B, projections fused as the frame step has them.
SHAPES: Mapping[str, tuple[int, int]] = {
    "backbone query-key-value": (2048, 3072),
    "backbone out": (2048, 2048),
    "backbone gate-up": (2048, 16384),
    "backbone down": (8192, 2048),
    "depth query-key-value": (1024, 1536),
    "depth out": (1024, 1024),
    "depth gate-up": (1024, 16384),
    "depth down": (8192, 1024),
}
BASELINE, FLOAT, READ = "bfloat16", "float32", "read"
_FEWEST_ROUNDS, _MOST_ROUNDS = 5, 100


def _native(kind: type[Int8Linear | Int4Linear], weight: Tensor) -> tuple[Layer, int]:
    layer = kind.of(_linear(weight)).to(weight.device)
    return layer, layer.weight.nbytes + layer.scales.nbytes


def _float(weight: Tensor, dtype: torch.dtype) -> tuple[Layer, int]:
    # A new tensor each: copies that share memory would be read from a cache.
    layer = _linear(weight.to(dtype, copy=True))
    return layer, layer.weight.nbytes


# Each makes a layer of a float32 weight [O, I], with the bytes that it reads.
ARMS: Mapping[str, Callable[[Tensor], tuple[Layer, int]]] = {
    BASELINE: lambda weight: _float(weight, torch.bfloat16),
    FLOAT: lambda weight: _float(weight, torch.float32),
    "native_int8": partial(_native, Int8Linear),
    "native_int4": partial(_native, Int4Linear),
}


def bench(
    *,
    shapes: Mapping[str, tuple[int, int]] = SHAPES,
    rows: Sequence[int] = (1,),
    threads: int = 1,
    device: torch.device | None = None,
    seconds: float = 2.0,
    spread_bytes: int = 1 << 29,
    progress: Callable[[str], None] = lambda _: None,
    keep: Keep = lambda name, values, unit: None,
) -> dict[str, Any]:
    """Times every arm on each of ``shapes``, in turns in every round. Activations are
    bfloat16, and float32 for ``float32``.

    ``{"layers": {"backbone out": {"1": {...}}}}``, for each number of ``rows`` microseconds a call,
    how many times as fast as ``bfloat16`` each arm is, with its interval, and at which share of
    the rate of reading (of a sum or of ``float32``, whichever is faster in the round).
    ``spread_bytes`` is what the bfloat16 copies of a layer take in all; use more than the
    last-level cache holds. On a GPU a round is the replay of a CUDA graph. ``keep`` gets all raw
    times a call, as ``native_int8/depth out, 1 rows``.

    Raises InputError for numbers below one.
    """
    if not shapes or not rows or min(rows) < 1 or threads < 1 or seconds <= 0 or spread_bytes < 1:
        raise InputError(
            f"{len(shapes)} shapes, {list(rows)} rows, {threads} threads, {seconds} s, "
            f"{spread_bytes} bytes",
            "use at least one of each",
        )
    device = device or torch.device("cpu")
    layers: dict[str, Any] = {}
    with cpu_threads(threads), torch.inference_mode():
        for name, (inputs, outputs) in shapes.items():
            copies = max(1, -(-spread_bytes // (2 * inputs * outputs)))
            made, sizes = _layers(inputs, outputs, copies, device)
            layers[name] = {}
            for batch in rows:
                place = f"{name}, {batch} rows"
                progress(place)
                times = _times(made, inputs, batch, seconds, device)
                for arm, of in times.items():
                    keep(f"{arm}/{place}", of, "us")
                layers[name][str(batch)] = _figures(times, sizes)
            del made
    return {"threads": threads, "device": str(device), "layers": layers}


def _layers(
    inputs: int, outputs: int, copies: int, device: torch.device
) -> tuple[dict[str, list[Layer]], dict[str, int]]:
    """``copies`` of the layer for each arm, and the bytes that a call of it reads."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(outputs, inputs, generator=generator).div_(inputs**0.5).to(device)
    made: dict[str, list[Layer]] = {}
    sizes: dict[str, int] = {}
    for name, make in ARMS.items():
        found = [make(weight) for _ in range(copies)]
        made[name], sizes[name] = [layer for layer, _ in found], found[0][1]
    # Read by what reads fastest: float32 numbers, summed.
    blocks = [torch.ones(sizes[BASELINE] // 4, device=device) for _ in range(copies)]
    made[READ] = [_summing(block) for block in blocks]
    sizes[READ] = blocks[0].nbytes
    return made, sizes


def _times(
    made: Mapping[str, list[Layer]],
    inputs: int,
    batch: int,
    seconds: float,
    device: torch.device,
) -> dict[str, list[float]]:
    """Microseconds a call, round by round; a round goes once through all copies of a layer."""
    generator = torch.Generator().manual_seed(batch)
    x = torch.randn(batch, inputs, generator=generator).to(device, torch.bfloat16)
    capture = capture_for(device)

    def once_through(layers: list[Layer], given: Tensor) -> Callable[[], None]:
        def work() -> None:
            for layer in layers:
                layer(given)

        replay = capture(work, ())

        def finished() -> None:
            replay()
            if device.type == "cuda":
                torch.cuda.synchronize(device)

        return finished

    arms = {
        name: once_through(layers, x.float() if name == FLOAT else x)
        for name, layers in made.items()
    }
    for _ in range(2):  # the first time pays for what is made once
        begin = time.perf_counter()
        for call in arms.values():
            call()
    rounds = int(seconds / (time.perf_counter() - begin))
    rounds = min(max(rounds, _FEWEST_ROUNDS), _MOST_ROUNDS)
    copies = len(made[BASELINE])
    passes = interleaved({name: timed(call) for name, call in arms.items()}, rounds)
    return {name: [1000 * ms / copies for ms in of] for name, of in passes.items()}


def _figures(times: Mapping[str, Sequence[float]], sizes: Mapping[str, int]) -> dict[str, Any]:
    """Medians, and ratios of times taken in the same round."""
    made: dict[str, Any] = {"rounds": len(times[BASELINE])}
    # A byte: whichever reads faster, a sum or the product with most bytes to its arithmetic.
    reading_us = [
        min(us / sizes[READ], wide_us / sizes[FLOAT])
        for us, wide_us in zip(times[READ], times[FLOAT], strict=True)
    ]
    made["read_gbs"] = round(1 / percentiles(reading_us, (50,))["p50"] / 1000, 2)
    for name in (one for one in times if one != READ):
        faster = paired_ratio(times[BASELINE], times[name])
        # How many times as fast as reading its bytes: below 1.
        share = paired_ratio([us * sizes[name] for us in reading_us], times[name])
        made[name] = {
            "us": round(percentiles(times[name], (50,))["p50"], 2),
            "speedup": round(faster.value, 3),
            "interval": [round(faster.low, 3), round(faster.high, 3)],
            "percent_of_read": round(100 * share.value, 1),
        }
    return made


def _summing(block: Tensor) -> Layer:
    return lambda _: block.sum()


def _linear(weight: Tensor) -> nn.Linear:
    outputs, inputs = weight.shape
    linear = nn.Linear(inputs, outputs, bias=False, device="meta")
    linear.weight = nn.Parameter(weight, requires_grad=False)
    return linear
