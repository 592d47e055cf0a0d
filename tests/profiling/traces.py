"""Made-up traces, in the form that torch.profiler writes."""

from typing import Any


def operator(name: str, start: float, length: float, **args: Any) -> dict[str, Any]:
    return _entry("cpu_op", name, start, length, args)


def span(name: str, start: float, length: float) -> dict[str, Any]:
    return _entry("user_annotation", name, start, length, {})


def call(name: str, start: float, length: float, correlation: int) -> dict[str, Any]:
    return _entry("cuda_runtime", name, start, length, {"correlation": correlation})


def kernel(name: str, start: float, length: float, correlation: int) -> dict[str, Any]:
    return _entry("kernel", name, start, length, {"correlation": correlation}) | {"tid": "stream"}


def memory(start: float, nbytes: int, total: int, device: int = 0) -> dict[str, Any]:
    args = {"Bytes": nbytes, "Total Allocated": total, "Device Type": device}
    return _entry("cpu_instant_event", "[memory]", start, 0, args) | {"ph": "i"}


def _entry(category: str, name: str, start: float, length: float, args: Any) -> dict[str, Any]:
    return {
        "ph": "X", "cat": category, "name": name, "pid": 1, "tid": 1, "ts": start, "dur": length,
        "args": args,
    }  # fmt: skip


def on_cpu() -> list[dict[str, Any]]:
    """100 µs: prefill 10-30, then two frames, each depth 20 µs and codec 10 µs."""
    entries = [span("request", 0, 100), span("stage: prefill", 10, 20)]
    entries += [operator("aten::mm", 12, 16), memory(12, 64, 64), memory(28, -64, 0)]
    for start in (30, 60):
        entries += [span("stage: depth", start, 20), span("stage: codec", start + 20, 10)]
        entries += [
            operator("aten::linear", start + 2, 8),
            operator("aten::mm", start + 3, 6),
            operator("aten::mul", start + 12, 4),
            operator("aten::_local_scalar_dense", start + 18, 1),
            operator("aten::conv1d", start + 20, 10),
            memory(start + 3, 100, 100),
            memory(start + 12, 50, 150),
            memory(start + 18, -150, 0),
        ]
    return [*entries, operator("aten::mm", 150, 10), span("request", -500, 10)][:-1]


def on_gpu() -> list[dict[str, Any]]:
    """The host runs ahead: kernels of a stage run after its range has ended."""
    return [
        span("request", 0, 100),
        span("stage: prefill", 0, 10),
        operator("aten::mm", 1, 8),
        call("cudaLaunchKernel", 2, 1, 1),
        span("stage: depth", 10, 10),
        operator("aten::linear", 11, 8),
        operator("aten::addmm", 12, 6),
        call("cuLaunchKernelEx", 13, 1, 2),
        span("stage: codec", 20, 10),
        call("cudaGraphLaunch", 21, 1, 3),
        call("cudaStreamSynchronize", 22, 70, 4),
        kernel("gemm", 5, 15, 1),
        kernel("gemv", 30, 20, 2),
        kernel("conv", 50, 10, 3),
        kernel("conv", 62, 8, 3),
    ]
