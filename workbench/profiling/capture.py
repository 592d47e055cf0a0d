"""One request under torch.profiler, its trace written for TensorBoard and Perfetto."""

from __future__ import annotations

import gzip
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch.profiler import ProfilerActivity, record_function, schedule

from workbench.files import write_bytes
from workbench.profiling.trace import REQUEST

TRACE_SUFFIX = ".pt.trace.json.gz"  # what TensorBoard's plugin looks for

_Result = TypeVar("_Result")
_PRIVATE = ("host_name", "traceName")  # the machine's name and a temporary file's


def capture(
    request: Callable[[], _Result],
    trace_path: Path | str,
    *,
    device: torch.device,
    memory: bool = True,
    stacks: bool = False,
) -> tuple[_Result, float]:
    """Runs ``request`` twice under the profiler and writes the second run's trace, gzipped.

    The first run lets the profiler start up (on a GPU that takes seconds). ``memory`` notes each
    allocation, ``stacks`` each Python function, which makes everything slower. Returns the
    result and the milliseconds that the second run took, slowed down by the profiler.

    Raises OutputError where the trace can't be written.
    """
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with tempfile.TemporaryDirectory(prefix="workbench-profile-") as folder:
        plain = Path(folder) / "trace.json"
        with torch.profiler.profile(
            activities=activities,
            schedule=schedule(wait=0, warmup=1, active=1, repeat=1),
            on_trace_ready=lambda profiler: profiler.export_chrome_trace(str(plain)),
            record_shapes=True,
            profile_memory=memory,
            with_stack=stacks,
            acc_events=True,  # silences a warning; there is one cycle
        ) as profiler:
            request()
            profiler.step()
            started = time.perf_counter()
            with record_function(REQUEST):
                result = request()
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
            took_ms = (time.perf_counter() - started) * 1000
            profiler.step()
        # strict=False: names of compiled kernels may hold control characters.
        trace = json.loads(plain.read_text(encoding="utf-8", errors="replace"), strict=False)
    for entry in _PRIVATE:
        trace.pop(entry, None)
    content = json.dumps(trace, separators=(",", ":")).encode()
    write_bytes(trace_path, gzip.compress(content, compresslevel=6))
    return result, took_ms
