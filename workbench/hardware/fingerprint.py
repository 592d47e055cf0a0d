"""The environment that stands in every record: enough to know what a number was measured on.

Records are mailed, so there is no host name, no user name and no path in it.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

from workbench._version import __version__
from workbench.hardware import cpu, gpus

SCHEMA = 1  # counts up when a field changes its meaning
_CHECKOUT = Path(__file__).resolve().parents[2]


def fingerprint() -> dict[str, Any]:
    """This machine and its software as a JSON-able dict.

    A value that can't be found out is None, and ``missing`` says why: it maps the field
    ("memory.total_bytes") to the reason. Sizes are in bytes, clocks in MHz, times in UTC.
    """
    import torch

    missing: dict[str, str] = {}
    devices = gpus.read_gpus()
    if devices["reason"]:
        missing["gpus"] = devices["reason"]
    return {
        "schema": SCHEMA,
        "time_utc": _now_utc(),
        "workbench": {"version": __version__, **_revision(missing)},
        "os": {
            "system": platform.system(),
            "release": platform.release(),
            "architecture": platform.machine(),
            "container": cpu.container(),
            "virtual_machine": cpu.virtual_machine(),
        },
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
        },
        "cpu": {
            "model": cpu.model(),
            "physical_cores": _physical_cores(missing),
            "logical_cores": os.cpu_count(),
            "usable_cores": cpu.usable_cores(),
            "torch_threads": torch.get_num_threads(),
            "torch_interop_threads": torch.get_num_interop_threads(),
            "torch_kernels": torch.backends.cpu.get_cpu_capability(),
            "instructions": cpu.instructions(),
            "last_level_cache_bytes": cpu.last_level_cache_bytes(),
        },
        "memory": _memory(missing),
        "libraries": {
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version()
            if torch.backends.cudnn.is_available()
            else None,
            "transformers": _version_of("transformers", missing),
            "numpy": _version_of("numpy", missing),
        },
        "driver": devices["driver"],
        "gpus": devices["devices"],
        "load": _load(missing),
        "missing": missing,
    }


def state() -> dict[str, Any]:
    """The part that changes: take it before and after a measurement, then see ``drift``."""
    missing: dict[str, str] = {}
    devices, reason = gpus.read_states()
    if reason:
        missing["gpus"] = reason
    return {
        "time_utc": _now_utc(),
        "load": _load(missing),
        "memory_available_bytes": _memory(missing)["available_bytes"],
        "gpus": devices,
        "missing": missing,
    }


def drift(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What may have disturbed a measurement between two ``state()``s, in sentences; often none."""
    found = []
    first, last = before["load"], after["load"]
    if first["steal_s"] is not None and last["steal_s"] is not None:
        total_s = last["cpu_total_s"] - first["cpu_total_s"]
        share = (last["steal_s"] - first["steal_s"]) / total_s if total_s > 0 else 0.0
        if share > 0.01:
            found.append(f"other virtual machines took {share:.0%} of the processor's time")
    for gpu in after["gpus"]:
        reasons = set(gpu["throttle_reasons"] or []) - gpus.HARMLESS_REASONS
        if reasons:
            found.append(f"GPU {gpu['index']} held its clocks back: {', '.join(sorted(reasons))}")
    return found


def label(environment: dict[str, Any]) -> str:
    """Short name for captions: "NVIDIA H200", "2 × NVIDIA L4" or "AMD EPYC, 2 cores"."""
    names = [
        gpu["name"] for gpu in environment["gpus"] if gpu["torch_index"] is not None and gpu["name"]
    ]
    if names:
        return names[0] if len(names) == 1 else f"{len(names)} × {names[0]}"
    processor = environment["cpu"]
    name = re.sub(r"\((R|TM|tm)\)|\bCPU\b|\bProcessor\b|\d+-Core|@.*", "", processor["model"])
    cores = processor["physical_cores"] or processor["logical_cores"]
    return f"{' '.join(name.split())}, {cores} core{'' if cores == 1 else 's'}"


def _revision(missing: dict[str, str]) -> dict[str, Any]:
    """Git revision and dirty flag of the checkout this package runs from, None when installed."""
    unknown = {"git_revision": None, "git_dirty": None}
    if not (_CHECKOUT / ".git").exists():
        missing["workbench.git_revision"] = "the package runs from an installation, not a checkout"
        return unknown
    try:
        revision = _git("rev-parse", "HEAD")
        return {"git_revision": revision, "git_dirty": bool(_git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError) as problem:
        missing["workbench.git_revision"] = f"git gives no answer ({type(problem).__name__})"
        return unknown


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "--no-optional-locks", "-C", str(_CHECKOUT), *arguments],
        capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def _psutil(field: str, missing: dict[str, str]) -> Any | None:
    try:
        import psutil
    except ImportError:
        missing[field] = "psutil is not installed: pip install psutil"
        return None
    return psutil


def _physical_cores(missing: dict[str, str]) -> int | None:
    psutil = _psutil("cpu.physical_cores", missing)
    return psutil.cpu_count(logical=False) if psutil else None


def _memory(missing: dict[str, str]) -> dict[str, int | None]:
    psutil = _psutil("memory", missing)
    memory = psutil.virtual_memory() if psutil else None
    return {
        "total_bytes": memory.total if memory else None,
        "available_bytes": memory.available if memory else None,
        "container_limit_bytes": cpu.memory_limit_bytes(),
    }


def _load(missing: dict[str, str]) -> dict[str, Any]:
    """Load averages over 1, 5, 15 minutes; CPU seconds since boot, all and stolen by the host."""
    psutil = _psutil("load.steal_s", missing)
    times = psutil.cpu_times() if psutil else None
    if times and not hasattr(times, "steal"):
        missing["load.steal_s"] = f"{platform.system()} doesn't report steal time"
    return {
        "average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "cpu_total_s": sum(times) - _guest_s(times) if times else None,
        "steal_s": getattr(times, "steal", None),
    }


def _guest_s(times: Any) -> float:
    """Seconds that Linux counts twice: as guest time and as user time."""
    return float(getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0))


def _version_of(package: str, missing: dict[str, str]) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        missing[f"libraries.{package}"] = f"{package} is not installed"
        return None


def _now_utc() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
