"""The pieces of work that ceilings are measured with, and the settings they run under."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from workbench.hardware.timing import Work, time_work

READ_WIDTH = 2048  # inputs of the matrix-vector product; CSM-1B's hidden size


def matvec(pool: Any, dtype: str) -> tuple[Work, int]:
    """``F.linear`` of one row through weights ``[N, 2048]`` that fill ``pool``, and their bytes."""
    import torch

    values = pool.view(getattr(torch, dtype))
    weight = values[: values.numel() // READ_WIDTH * READ_WIDTH].view(-1, READ_WIDTH)
    row = torch.ones(1, READ_WIDTH, dtype=weight.dtype, device=weight.device)  # [1, 2048]
    return lambda: torch.nn.functional.linear(row, weight), weight.nbytes


def matmul(device: Any, dtype: str, share_s: float) -> tuple[Work, int]:
    """A square product as large as still gives several samples in ``share_s``, and its n."""
    import torch

    def product(n: int) -> Work:
        left = torch.full((n, n), 1.0, dtype=getattr(torch, dtype), device=device)
        right, out = left.clone(), torch.empty_like(left)
        return lambda: torch.mm(left, right, out=out)

    n, largest = (256, 2048) if device.type == "cpu" else (1024, 8192)
    work = product(n)
    # A doubled n takes 8 times as long; there should be room for about six.
    while n < largest and 8 * 6 * min(time_work(work, device, 0.0)) < share_s:
        n *= 2
        work = product(n)
    return work, n


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Runs torch's CPU kernels with ``count`` threads (None: unchanged), then as before."""
    import torch

    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Lets float32 products on CUDA use TF32, or not, then as before."""
    import torch

    switch = torch.backends.cuda.matmul
    before = switch.fp32_precision
    switch.fp32_precision = "tf32" if allowed else "ieee"
    try:
        yield
    finally:
        switch.fp32_precision = before


@contextmanager
def on_device(device: Any) -> Iterator[None]:
    """Without gradients, and with ``device`` as the current GPU if it is one."""
    import torch

    with torch.inference_mode():
        if device.type != "cuda":
            yield
            return
        with torch.cuda.device(device):
            yield
        torch.cuda.empty_cache()
