"""A stand-in for pynvml with one throttled GPU that doesn't report its power limit."""

import types


class NVMLError(Exception):
    pass


def module(throttle_mask=0x64, library=True, old_names=False):
    nvml = types.SimpleNamespace(NVMLError=NVMLError, NVML_CLOCK_SM=1, NVML_CLOCK_MEM=2)
    nvml.NVML_TEMPERATURE_GPU = 0

    def init():
        if not library:
            raise NVMLError("NVML Shared Library Not Found")

    def refuse(device):
        raise NVMLError("Not Supported")

    memory = types.SimpleNamespace(total=150_754_820_096, free=150_000_000_000)
    reasons = "Throttle" if old_names else "Event"
    answers = {
        "nvmlInit": init,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlSystemGetDriverVersion": lambda: b"580.95.05",
        "nvmlDeviceGetHandleByIndex": lambda number: f"device {number}",
        "nvmlDeviceGetName": lambda device: "NVIDIA H200",
        "nvmlDeviceGetUUID": lambda device: "GPU-1234",
        "nvmlDeviceGetCudaComputeCapability": lambda device: (9, 0),
        "nvmlDeviceGetMemoryInfo": lambda device: memory,
        "nvmlDeviceGetClockInfo": lambda device, kind: {1: 1980, 2: 3201}[kind],
        "nvmlDeviceGetMaxClockInfo": lambda device, kind: 1980,
        "nvmlDeviceGetTemperature": lambda device, sensor: 61,
        "nvmlDeviceGetPowerUsage": lambda device: 423_500,
        "nvmlDeviceGetUtilizationRates": lambda device: types.SimpleNamespace(gpu=37, memory=5),
        "nvmlDeviceGetPowerManagementLimit": refuse,
        f"nvmlDeviceGetCurrentClocks{reasons}Reasons": lambda device: throttle_mask,
    }
    for name, answer in answers.items():
        setattr(nvml, name, answer)
    return nvml
