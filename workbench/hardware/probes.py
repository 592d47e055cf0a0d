"""Small programs that really do what a check asks about, each in a process of its own.

``python -m workbench.hardware.probes NAME DEVICE`` prints one JSON object as its last line. A probe
that hangs or breaks its CUDA context takes nothing else with it.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from typing import Any

from workbench.hardware import work
from workbench.hardware.timing import time_work

_SAMPLE_S = 0.03  # time spent on each of a probe's small measurements


def bf16(device_name: str) -> dict[str, float]:
    """How bfloat16 compares with float32: ratios of time (> 1: bfloat16 is faster).

    ``matmul``: 512 × 512 on a CPU, 4096 × 4096 on a GPU. ``matvec``: one row through weights
    ``[8192, 2048]``, 64 MiB in float32. ``error``: the product's, relative to the largest entry.
    The two types take turns, on one thread of a CPU, so that other programs disturb little.
    """
    import torch

    device = torch.device(device_name)
    n = 512 if device.type == "cpu" else 4096
    left, right = torch.rand(n, n, device=device), torch.rand(n, n, device=device)
    weight = torch.rand(8192, 2048, device=device)  # [outputs, inputs]
    row = torch.rand(1, 2048, device=device)
    seconds: dict[tuple[str, Any], list[float]] = {}
    with work.threads(1 if device.type == "cpu" else None):
        for _ in range(4):
            for dtype in (torch.float32, torch.bfloat16):
                a, b, w, x = (one.to(dtype) for one in (left, right, weight, row))
                tasks = {
                    "matmul": partial(torch.mm, a, b),
                    "matvec": partial(torch.nn.functional.linear, x, w),
                }
                for name, task in tasks.items():
                    taken = time_work(task, device, _SAMPLE_S)
                    seconds.setdefault((name, dtype), []).extend(taken)
    exact = left @ right
    rounded = (left.bfloat16() @ right.bfloat16()).float()

    def ratio(name: str) -> float:
        return min(seconds[name, torch.float32]) / min(seconds[name, torch.bfloat16])

    return {
        "matmul": ratio("matmul"),
        "matvec": ratio("matvec"),
        "error": float((rounded - exact).abs().max() / exact.abs().max()),
    }


def tf32(device_name: str) -> dict[str, float]:
    """How a float32 product with TF32 compares with one without: speed-up and relative error."""
    import torch

    device = torch.device(device_name)
    left, right = (torch.rand(4096, 4096, device=device) for _ in range(2))
    products, seconds = {}, {}
    for precision in ("ieee", "tf32"):
        torch.backends.cuda.matmul.fp32_precision = precision
        seconds[precision] = min(time_work(lambda: left @ right, device, _SAMPLE_S))
        products[precision] = left @ right
    gap = (products["tf32"] - products["ieee"]).abs().max() / products["ieee"].abs().max()
    return {"speedup": seconds["ieee"] / seconds["tf32"], "error": float(gap)}


def cuda_graph(device_name: str) -> dict[str, float]:
    """Captures 50 small steps in one CUDA graph, replays it on new input, compares with eager."""
    import torch

    device = torch.device(device_name)
    weight = torch.randn(256, 256, device=device) / 16  # keeps the size of what passes through
    given = torch.randn(1, 256, device=device)

    def steps() -> torch.Tensor:
        x = given
        for _ in range(50):
            x = torch.tanh(x @ weight)
        return x

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # warm-up outside the graph, as capture asks for
        for _ in range(3):
            steps()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = steps()
    given.copy_(torch.randn(1, 256, device=device))
    graph.replay()
    gap = float((out - steps()).abs().max())
    eager_s = min(time_work(steps, device, _SAMPLE_S))
    graph_s = min(time_work(graph.replay, device, _SAMPLE_S))
    return {"gap": gap, "eager_us": eager_s * 1e6, "graph_us": graph_s * 1e6}


def attention(device_name: str) -> dict[str, Any]:
    """Runs each of torch's attention backends and compares it with the plain one in float32."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    device = torch.device(device_name)
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    query, key, value = (torch.randn(1, 8, 128, 64, device=device).to(dtype) for _ in range(3))
    attend = torch.nn.functional.scaled_dot_product_attention
    with sdpa_kernel(SDPBackend.MATH):
        plain = attend(query.float(), key.float(), value.float(), is_causal=True)
    works: dict[str, float] = {}
    refused: dict[str, str] = {}
    for name in ("FLASH_ATTENTION", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION", "MATH"):
        short = name.removesuffix("_ATTENTION").lower()
        try:
            with sdpa_kernel(getattr(SDPBackend, name)):
                out = attend(query, key, value, is_causal=True)
            works[short] = float((out.float() - plain).abs().max())
        except (RuntimeError, AttributeError) as problem:
            refused[short] = str(problem).splitlines()[0]
    return {"works": works, "refused": refused, "dtype": str(dtype).removeprefix("torch.")}


def compile(device_name: str) -> dict[str, float]:
    """Compiles a tiny function, runs it, compares it with eager; seconds of the cold compile."""
    import torch

    def function(x: torch.Tensor) -> torch.Tensor:
        return torch.sin(x) * 2 + torch.cos(x).square()

    x = torch.linspace(0, 1, 4096, device=device_name)
    begin = time.perf_counter()
    out = torch.compile(function)(x)
    took_s = time.perf_counter() - begin
    return {"seconds": took_s, "gap": float((out - function(x)).abs().max())}


PROBES = {
    "bf16": bf16,
    "tf32": tf32,
    "cuda_graph": cuda_graph,
    "attention": attention,
    "compile": compile,
}


def main() -> None:
    """Runs the probe named on the command line and prints its result."""
    name, device = sys.argv[1:]
    print(json.dumps(PROBES[name](device)))


if __name__ == "__main__":
    main()
