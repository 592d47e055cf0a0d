"""Checks of the GPU and of what only a GPU does; one calm voice where there is none."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

from workbench.hardware.check import Inquiry, Status, last_line, run_probe, size
from workbench.hardware.gpus import HARMLESS_REASONS, read_gpus

Answer = tuple[Status, str, str]
_LIMIT_S = 120.0


def inquiries() -> list[Inquiry]:
    """The GPU's rows, in the order they are shown."""
    return [
        Inquiry("CUDA", "PyTorch reaches an NVIDIA GPU through its CUDA build and the driver",
                cuda),
        Inquiry("GPU", "CSM-1B in real time needs the memory bandwidth of a GPU", gpu),
        Inquiry("TF32", "float32 products on tensor cores, at a small loss of precision", tf32),
        Inquiry("CUDA graphs", "one launch a frame instead of hundreds", cuda_graphs),
        Inquiry("flash-attn package", "an optional kernel; PyTorch's own attention does without",
                flash_attn),
    ]  # fmt: skip


def cuda() -> Answer:
    """The CUDA build, the driver, and whether they meet."""
    import torch

    driver, built = read_gpus()["driver"], torch.version.cuda
    if not built and driver is None:
        return _absent("PyTorch's CUDA build runs the models on it")
    if not built:
        return (
            "failed", f"driver {driver}, but this PyTorch ({torch.__version__}) has no CUDA",
            "install PyTorch's CUDA build: https://pytorch.org/get-started/locally",
        )  # fmt: skip
    if not torch.cuda.is_available():
        if driver is None:
            return _absent(f"this PyTorch (CUDA {built}) runs the models on it")
        return (
            "failed", f"driver {driver}, PyTorch built for CUDA {built}, but no GPU is usable",
            "update the driver, and look at CUDA_VISIBLE_DEVICES",
        )  # fmt: skip
    cudnn = torch.backends.cudnn.version()
    return "ok", f"CUDA {built}, cuDNN {cudnn}, driver {driver or 'unknown'}", ""


def gpu() -> Answer:
    """Name, compute capability, memory and throttling of each GPU."""
    import torch

    if not torch.cuda.is_available():
        return _absent("CSM-1B, too; csm-nano is made for the processor")
    read = read_gpus()
    found, remedies = [], [read["reason"]] if read["reason"] else []
    supported = torch.cuda.get_arch_list()
    status: Status = "warning" if remedies else "ok"
    for one in read["devices"]:
        if one["torch_index"] is None:
            continue
        held_back = sorted(set(one["throttle_reasons"] or []) - HARMLESS_REASONS)
        text = f"{one['name']}, {size(one['memory_bytes'])}, sm_{_digits(one)}"
        if held_back:
            status, text = "warning", f"{text}, held back: {', '.join(held_back)}"
            remedies.append("look at cooling, power limit and other programs on the GPU")
        if not _covered(_digits(one), supported):
            status = "failed"
            remedies.append(f"this PyTorch has kernels for {', '.join(supported)} only: update it")
        found.append(text)
    return status, "; ".join(found), "; ".join(dict.fromkeys(remedies))


def tf32() -> Answer:
    """Whether TF32 speeds up float32 products, and what it costs."""
    result = _probed("tf32", "float32 products on its tensor cores")
    if isinstance(result, tuple):
        return result
    found = (
        f"float32 products {result['speedup']:.1f}× as fast, relative error {result['error']:.0e}"
    )
    if result["speedup"] < 1.2:
        return "warning", found, "no tensor cores for TF32 (compute capability < 8.0): use bfloat16"
    return "ok", found, ""


def cuda_graphs() -> Answer:
    """Captures and replays a graph, and compares."""
    result = _probed("cuda_graph", "a whole frame in one launch")
    if isinstance(result, tuple):
        return result
    found = (
        f"captured and replayed: 50 small steps in {result['graph_us']:.0f} µs, "
        f"{result['eager_us']:.0f} µs without"
    )
    if result["gap"] > 1e-5:
        return "failed", f"the replay differs by {result['gap']:.1e}", "update PyTorch"
    return "ok", found, ""


def flash_attn() -> Answer:
    """The optional flash-attn package."""
    import torch

    if not torch.cuda.is_available():
        return _absent("one more attention kernel to compare")
    if importlib.util.find_spec("flash_attn") is None:
        return (
            "absent", "not installed; PyTorch's own attention backends are used",
            "optional: pip install 'workbench[flash]' (compiles for a while, needs nvcc)",
        )  # fmt: skip
    import flash_attn as package

    return "ok", f"flash-attn {package.__version__}", ""


def _absent(gain: str) -> Answer:
    return "absent", "no NVIDIA GPU", f"with one: {gain}"


def _probed(name: str, gain: str) -> dict[str, Any] | Answer:
    """The probe's result on the first GPU, or the answer that takes its place."""
    import torch

    if not torch.cuda.is_available():
        return _absent(gain)
    outcome = run_probe(name, "cuda:0", _LIMIT_S)
    if outcome.code is None:
        return "failed", f"no answer within {_LIMIT_S:.0f} s", "look at what else uses the GPU"
    if outcome.code:
        return "failed", last_line(outcome.stderr), "update PyTorch and the driver"
    return dict(json.loads(last_line(outcome.stdout)))


def _digits(one: dict[str, Any]) -> str:
    """Compute capability 9.0 as 90."""
    return str(one["compute_capability"]).replace(".", "")


def _covered(digits: str, supported: list[str]) -> bool:
    """Whether kernels for ``supported`` run: same major and not newer, or PTX that is compiled."""
    for entry in supported:
        kind, _, built = entry.rstrip("af").partition("_")
        if not built.isdigit() or int(built) > int(digits):
            continue
        if kind == "compute" or built[:-1] == digits[:-1]:
            return True
    return not supported  # no list, no verdict
