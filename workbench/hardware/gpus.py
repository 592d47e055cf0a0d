"""NVIDIA GPUs, read through NVML: what they are, and the state they are in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

# Bits of NVML's clocks-event (throttle) mask:
# https://docs.nvidia.com/deploy/nvml-api/group__nvmlClocksEventReasons.html
THROTTLE_REASONS = {
    0x001: "idle",
    0x002: "application clocks setting",
    0x004: "software power cap",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "software thermal slowdown",
    0x040: "hardware thermal slowdown",
    0x080: "hardware power brake",
    0x100: "display clock setting",
    0x200: "board limit",
    0x400: "reliability voltage",
}
# Reasons that do not mean that a measurement ran slower than it could.
HARMLESS_REASONS = frozenset({"idle"})


def throttle_reasons(mask: int) -> list[str]:
    """The names of the bits set in NVML's throttle ``mask``; unknown bits in hexadecimal."""
    return [
        THROTTLE_REASONS.get(1 << bit, f"unknown reason {1 << bit:#x}")
        for bit in range(mask.bit_length())
        if mask >> bit & 1
    ]


def read_gpus() -> dict[str, Any]:
    """``{"driver", "devices": [...], "reason"}``; never raises.

    ``reason`` says why ``devices`` is empty or thin (None where all was read). A field that a
    GPU doesn't report is None and named in its ``not_reported``.
    """
    pynvml, reason = _open_nvml()
    if reason:
        return _through_torch(reason)
    try:
        devices = [_read_device(pynvml, number) for number in range(pynvml.nvmlDeviceGetCount())]
        _mark_torch_devices(devices)
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        return {"driver": driver, "devices": devices, "reason": None}
    except pynvml.NVMLError as problem:
        return _through_torch(f"NVML failed: {problem}")
    finally:
        _close_nvml(pynvml)


def read_states() -> tuple[list[dict[str, Any]], str | None]:
    """The changing part of every GPU (clocks, throttle, temperature, power, use, memory).

    The second value is the reason why there is none, else None. Never raises.
    """
    pynvml, reason = _open_nvml()
    if reason:
        return [], reason
    try:
        return [_state(pynvml, number) for number in range(pynvml.nvmlDeviceGetCount())], None
    except pynvml.NVMLError as problem:
        return [], f"NVML failed: {problem}"
    finally:
        _close_nvml(pynvml)


def _open_nvml() -> tuple[Any, str | None]:
    """The NVML module, initialized, or the reason why it can't be used."""
    try:
        import pynvml
    except ImportError:
        return None, "nvidia-ml-py is not installed: pip install nvidia-ml-py"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as problem:
        return None, f"NVML gives no access: {problem}"
    return pynvml, None


def _close_nvml(nvml: Any) -> None:
    with contextlib.suppress(nvml.NVMLError):  # what was read stands
        nvml.nvmlShutdown()


class _Questions:
    """Asks NVML one thing at a time and remembers what the device doesn't report."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error
        self.not_reported: list[str] = []

    def ask(self, field: str, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except self.error:
            self.not_reported.append(field)
            return None


def _state(nvml: Any, number: int) -> dict[str, Any]:
    device = nvml.nvmlDeviceGetHandleByIndex(number)
    questions = _Questions(nvml.NVMLError)
    ask = questions.ask
    # nvidia-ml-py renamed "throttle" to "event" reasons in 12.535.
    reasons = getattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons", None) or (
        nvml.nvmlDeviceGetCurrentClocksThrottleReasons
    )
    mask = ask("throttle_reasons", lambda: reasons(device))
    memory = ask("memory", lambda: nvml.nvmlDeviceGetMemoryInfo(device))
    milliwatts = ask("power_w", lambda: nvml.nvmlDeviceGetPowerUsage(device))
    return {
        "index": number,
        "uuid": ask("uuid", lambda: _text(nvml.nvmlDeviceGetUUID(device))),
        "sm_clock_mhz": ask(
            "sm_clock_mhz", lambda: nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_SM)
        ),
        "memory_clock_mhz": ask(
            "memory_clock_mhz", lambda: nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_MEM)
        ),
        "throttle_reasons": None if mask is None else throttle_reasons(mask),
        "temperature_c": ask(
            "temperature_c",
            lambda: nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU),
        ),
        "power_w": None if milliwatts is None else milliwatts / 1000,
        "busy_percent": ask("busy_percent", lambda: nvml.nvmlDeviceGetUtilizationRates(device).gpu),
        "memory_free_bytes": None if memory is None else int(memory.free),
        "not_reported": questions.not_reported,
    }


def _read_device(nvml: Any, number: int) -> dict[str, Any]:
    device = nvml.nvmlDeviceGetHandleByIndex(number)
    questions = _Questions(nvml.NVMLError)
    ask = questions.ask
    capability = ask("compute_capability", lambda: nvml.nvmlDeviceGetCudaComputeCapability(device))
    memory = ask("memory_bytes", lambda: nvml.nvmlDeviceGetMemoryInfo(device))
    limit = ask("power_limit_w", lambda: nvml.nvmlDeviceGetPowerManagementLimit(device))
    fixed = {
        "name": ask("name", lambda: _text(nvml.nvmlDeviceGetName(device))),
        "compute_capability": None if capability is None else "{}.{}".format(*capability),
        "memory_bytes": None if memory is None else int(memory.total),
        "max_sm_clock_mhz": ask(
            "max_sm_clock_mhz", lambda: nvml.nvmlDeviceGetMaxClockInfo(device, nvml.NVML_CLOCK_SM)
        ),
        "power_limit_w": None if limit is None else limit / 1000,
    }
    state = _state(nvml, number)
    return fixed | state | {"not_reported": questions.not_reported + state["not_reported"]}


def _mark_torch_devices(devices: list[dict[str, Any]]) -> None:
    """Adds ``torch_index``, the N of "cuda:N": torch may order or hide GPUs differently."""
    by_uuid = {f"GPU-{entry.uuid}": index for index, entry in enumerate(_torch_properties())}
    for device in devices:
        device["torch_index"] = by_uuid.get(device["uuid"])


def _through_torch(reason: str) -> dict[str, Any]:
    """What torch alone knows of its GPUs, with the reason why there is no more."""
    unread = (
        "max_sm_clock_mhz", "power_limit_w", "sm_clock_mhz", "memory_clock_mhz",
        "throttle_reasons", "temperature_c", "power_w", "busy_percent", "memory_free_bytes",
    )  # fmt: skip
    devices = [
        {
            "index": index,
            "torch_index": index,
            "name": entry.name,
            "uuid": f"GPU-{entry.uuid}",
            "compute_capability": f"{entry.major}.{entry.minor}",
            "memory_bytes": entry.total_memory,
            **dict.fromkeys(unread),
            "not_reported": list(unread),
        }
        for index, entry in enumerate(_torch_properties())
    ]
    return {"driver": None, "devices": devices, "reason": reason}


def _torch_properties() -> list[Any]:
    import torch

    if not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
