"""The processor: its name, its cores, its last-level cache and what surrounds it."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import subprocess
from pathlib import Path

# Instruction sets that decide which of torch's CPU kernels run (names of /proc/cpuinfo).
_TELLING_FLAGS = (
    "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8",
    "asimdhp", "asimddp", "bf16", "i8mm", "sve",
)  # fmt: skip
_CPU_FILES = Path("/sys/devices/system/cpu")
_CGROUP_FILES = Path("/sys/fs/cgroup")


def model() -> str:
    """Marketing name, e.g. "AMD EPYC 9654"; the architecture where the system gives none."""
    for line in _read("/proc/cpuinfo").splitlines():
        if line.lower().startswith(("model name", "hardware")):
            return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        return _sysctl("machdep.cpu.brand_string") or platform.machine()
    return platform.processor() or platform.machine()


def instructions() -> list[str]:
    """Those vector and matrix instruction sets of this processor that torch cares about."""
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", _read("/proc/cpuinfo"), re.MULTILINE)
    present = set(found.group(1).split()) if found else set()
    return [flag for flag in _TELLING_FLAGS if flag in present]


def last_level_cache_bytes() -> int | None:
    """Bytes of last-level cache that all usable cores see together, None where unknown.

    Sums the distinct caches of the highest level: a server chip has several.
    """
    if platform.system() == "Darwin":
        size = _sysctl("hw.l3cachesize") or _sysctl("hw.perflevel0.l2cachesize")
        return int(size) if size else None
    caches: dict[int, dict[str, int]] = {}
    for folder in _CPU_FILES.glob("cpu[0-9]*/cache/index*"):
        level, size = _read(folder / "level").strip(), _read(folder / "size").strip()
        if level.isdigit() and _read(folder / "type").strip() != "Instruction":
            owner = _read(folder / "shared_cpu_list").strip()
            caches.setdefault(int(level), {})[owner] = _bytes_of(size)
    return sum(caches[max(caches)].values()) or None if caches else None


def usable_cores() -> float | None:
    """Cores this process may use: its affinity mask, or less where a container has a quota."""
    mask = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = _cgroup_quota()
    return min(mask, quota) if mask and quota else mask


def keep_on_one_core(pid: int) -> int | None:
    """Keeps the main thread of process ``pid`` on the last of our cores; which one it is.

    None where this system can't (macOS), where there is one core only, or the process is gone.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        return None
    try:
        os.sched_setaffinity(pid, {max(cores)})
    except OSError:
        return None
    return max(cores)


def physical_cores() -> int | None:
    """Cores of this machine, hyperthreads counted once; None where psutil isn't installed."""
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.cpu_count(logical=False) or 0) or None


def memory_limit_bytes() -> int | None:
    """Memory that the container may use, None where there is no such limit."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        limit = _read(_CGROUP_FILES / name).strip()
        if limit.isdigit():
            return int(limit) if int(limit) < 1 << 60 else None
    return None


def free_memory_bytes() -> int | None:
    """Memory that a process can still have, within the container's limit; None where unknown."""
    free: int | None = None
    resident = 0
    try:
        import psutil

        free = int(psutil.virtual_memory().available)
        resident = int(psutil.Process().memory_info().rss)
    except ImportError:
        found = re.search(r"^MemAvailable:\s*(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
        free = int(found.group(1)) << 10 if found else None
    limit = memory_limit_bytes()
    if limit is None:
        return free
    room = max(0, limit - resident)
    return room if free is None else min(free, room)


def container() -> str | None:
    """Kind of container around this process, as far as it shows: "docker", "wsl", ... or None."""
    if Path("/.dockerenv").exists():
        return "docker"
    if Path("/run/.containerenv").exists():
        return "podman"
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    if "microsoft" in platform.release().lower():
        return "wsl"
    groups = _read("/proc/1/cgroup")
    return next((kind for kind in ("kubepods", "docker", "lxc") if kind in groups), None)


def virtual_machine() -> str | None:
    """Vendor of the virtual machine, "yes" where it is one of an unknown vendor, else None."""
    if not re.search(r"^flags\s*:.*\bhypervisor\b", _read("/proc/cpuinfo"), re.MULTILINE):
        return None
    return _read("/sys/class/dmi/id/sys_vendor").strip() or "yes"


def _cgroup_quota() -> float | None:
    """CPU quota of the container in cores (cgroup v2, then v1), None without one."""
    with contextlib.suppress(ValueError, ZeroDivisionError):
        quota, period = _read(_CGROUP_FILES / "cpu.max").split()
        return int(quota) / int(period)
    with contextlib.suppress(ValueError, ZeroDivisionError):
        quota_us = int(_read(_CGROUP_FILES / "cpu/cpu.cfs_quota_us"))
        return (
            quota_us / int(_read(_CGROUP_FILES / "cpu/cpu.cfs_period_us")) if quota_us > 0 else None
        )
    return None


def _bytes_of(size: str) -> int:
    """The size 32768K as 33554432."""
    found = re.fullmatch(r"(\d+)([KMG]?)", size)
    return int(found.group(1)) << {"": 0, "K": 10, "M": 20, "G": 30}[found.group(2)] if found else 0


def _read(path: Path | str) -> str:
    """A system file's text, empty where there is none: absence is an answer here."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _sysctl(name: str) -> str:
    try:
        done = subprocess.run(
            ["sysctl", "-n", name], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
