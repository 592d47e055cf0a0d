"""Operations under ``torch.ops.workbench``: what they share."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.library import Library

from workbench.errors import InputError, WorkbenchError
from workbench.native.library import (
    CUDA_UNSUPPORTED,
    NO_MEMORY,
    NOT_FINITE,
    OK,
    native_status,
)

_FEW_ROWS, _MANY_ROWS = 16, 128

# Library.impl instead of torch.library.custom_op: 3.5 us a call instead of 10.
_LIBRARY = Library("workbench", "DEF")


def register(
    schema: str,
    *,
    fake: Callable[..., Tensor],
    cpu: Callable[..., Tensor],
    cuda: Callable[..., Tensor],
) -> None:
    """Defines the operation ``schema`` with its implementations and its shape function."""
    name = schema.partition("(")[0]
    _LIBRARY.define(schema)
    _LIBRARY.impl(name, cpu, "CPU")
    _LIBRARY.impl(name, cuda, "CUDA")
    torch.library.register_fake(f"workbench::{name}", fake, lib=_LIBRARY)


def thread_count(threads: int) -> int:
    """``threads``, or PyTorch's number where it is 0. Raises InputError below 0."""
    if threads < 0:
        raise InputError(f"{threads} threads", "use at least one, or 0 for PyTorch's number")
    return threads or torch.get_num_threads()


def are_many(rows: int, library: ctypes.CDLL) -> bool:
    """Whether a product of so many rows is faster with widened weights than by the kernels.

    With VNNI the kernels read CSM-1B's prompts in a third of the time (docs/log.md).
    """
    has_vnni = library.wb_isa() in (b"avx512_vnni", b"amx")
    return rows > _FEW_ROWS and (rows > _MANY_ROWS or not has_vnni)


def done(status: int, what: str) -> None:
    """Raises what a kernel's status says, InputError for numbers that can't be used."""
    if status == OK:
        return
    if status == NOT_FINITE:
        raise not_finite(what)
    if status == NO_MEMORY:
        raise WorkbenchError(f"no memory or thread left for {what}", "free some, or use fewer")
    raise WorkbenchError(f"{what}: arguments that the kernel refuses", "please report this")


def launched(status: int, name: str) -> bool:
    """Whether the CUDA kernel ``name`` was launched; False where it has no such shape.

    Raises WorkbenchError where the launch failed.
    """
    if status not in (OK, CUDA_UNSUPPORTED):
        raise WorkbenchError(
            f"the CUDA kernel {name} can't be launched: CUDA error {status}",
            "run `workbench hardware`; without the native switches PyTorch does the work",
        )
    return status == OK


def not_finite(what: str) -> InputError:
    """The error for NaN, infinity and what overflows float32."""
    return InputError(f"NaN, infinity or a number beyond 1e30 in {what}", "check what made it")


@cache
def warn_of_reference(name: str, device: str = "cpu") -> None:
    """Says once that PyTorch does the work of the kernel ``name``."""
    status = native_status()
    kernels, reason, remedy = "native kernels", status.reason, status.remedy
    if device == "cuda":
        kernels, reason = "CUDA kernels", status.cuda_reason
        remedy = "install the CUDA toolkit (nvcc), then the package again"
    warnings.warn(
        f"{name} runs as its reference in PyTorch, as the {kernels} are {reason}. → {remedy}",
        RuntimeWarning,
        stacklevel=3,
    )
