"""Checks of the machine itself: bfloat16, attention, cores, memory and disk."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

from workbench.hardware import cpu, probes
from workbench.hardware.check import Inquiry, Status, last_line, run_probe, size
from workbench.hardware.fingerprint import fingerprint

Answer = tuple[Status, str, str]
_LIMIT_S = 120.0
RUN_MEMORY_BYTES = 4_000_000_000  # what `make run` may take
CSM_1B_MEMORY_BYTES = 6_000_000_000  # weights in bfloat16 (4.5 GB), caches and torch
DISK_BYTES = 2_000_000_000


def inquiries(output: Path | None = None) -> list[Inquiry]:
    """The machine's rows; ``output`` is the folder that results go to (None: the current one)."""
    folder = output or Path()
    return [
        Inquiry("bfloat16", "half the bytes of float32, and decoding is bound by bytes", bf16),
        Inquiry("attention", "PyTorch's fused attention backends (flash, memory-efficient, cuDNN)",
                attention),
        Inquiry("processor cores", "more torch threads than cores get in each other's way",
                cores),
        Inquiry("memory", "models and audio must fit beside everything else", memory),
        Inquiry("disk", "rendered notebooks and checkpoints need room", lambda: disk(folder)),
    ]  # fmt: skip


def bf16() -> Answer:
    """How fast bfloat16 is beside float32 on the device that matters."""
    device = _device()
    result = _probe("bf16", device)
    found = (
        f"on {device}: matrix products {result['matmul']:.1f}×, matrix-vector products "
        f"{result['matvec']:.1f}× as fast as float32"
    )
    if result["error"] > 0.05:
        return "failed", f"products off by {result['error']:.0%}", "update PyTorch"
    if result["matvec"] < 0.9:
        return "warning", found, "speak in float32 here; bfloat16 still halves the memory"
    return "ok", found, ""


def attention() -> Answer:
    """Which of torch's attention backends really run."""
    device = _device()
    result = _probe("attention", device)
    tolerance = 1e-4 if result["dtype"] == "float32" else 3e-2
    wrong = [name for name, gap in result["works"].items() if gap > tolerance]
    if wrong:
        return "failed", f"wrong results from: {', '.join(wrong)}", "update PyTorch"
    found = f"on {device}: {', '.join(result['works'])} run and agree"
    if "flash" not in result["works"]:
        reason = result["refused"].get("flash", "no reason given")
        return "warning", found, f"flash attention doesn't run ({reason}); the others are used"
    return "ok", found, ""


def cores() -> Answer:
    """Physical cores against torch's threads."""
    processor = fingerprint()["cpu"]
    threads, physical = processor["torch_threads"], processor["physical_cores"]
    usable = cpu.usable_cores()
    if physical is None:
        return (
            "warning", f"{threads} torch threads; the number of physical cores is unknown",
            "pip install psutil",
        )  # fmt: skip
    best = max(1, min(physical, math.floor(usable or physical)))
    found = f"{physical} physical cores, {usable:g} usable, {threads} torch threads"
    if threads != best:
        return "warning", found, f"set OMP_NUM_THREADS={best}, or torch.set_num_threads({best})"
    return "ok", found, ""


def memory() -> Answer:
    """Memory free now."""
    read = fingerprint()["memory"]
    free, limit = read["available_bytes"], read["container_limit_bytes"]
    if free is None:
        return "warning", "unknown", "pip install psutil"
    free = min(free, limit) if limit else free
    found = f"{size(free)} free of {size(min(read['total_bytes'], limit or math.inf))}"
    if free < RUN_MEMORY_BYTES:
        return "warning", found, f"`make run` takes up to {size(RUN_MEMORY_BYTES)}: close something"
    if free < CSM_1B_MEMORY_BYTES and _device() == "cpu":
        return "ok", f"{found}: enough for csm-nano, not for CSM-1B", ""
    return "ok", found, ""


def disk(output: Path) -> Answer:
    """Room in the temporary folder and where results go."""
    temporary = shutil.disk_usage(tempfile.gettempdir()).free
    wanted = output.absolute()  # may not be made yet
    existing = next(folder for folder in (wanted, *wanted.parents) if folder.exists())
    results = shutil.disk_usage(existing).free
    found = f"{size(temporary)} free for temporary files, {size(results)} for results"
    if min(temporary, results) < DISK_BYTES:
        return "warning", found, f"free {size(DISK_BYTES)}, or set TMPDIR / --out to another disk"
    return "ok", found, ""


def _device() -> str:
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"


def _probe(name: str, device: str) -> dict[str, Any]:
    """On the CPU in this process; on a GPU apart, so that a broken context stays there."""
    if device == "cpu":
        return dict(probes.PROBES[name](device))
    outcome = run_probe(name, device, _LIMIT_S)
    if outcome.code != 0:
        raise RuntimeError(
            last_line(outcome.stderr) if outcome.code else f"no answer within {_LIMIT_S:.0f} s"
        )
    return dict(json.loads(last_line(outcome.stdout)))
