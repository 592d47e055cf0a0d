"""What holds while an engine speaks: threads, process-wide switches, how networks run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch

from workbench.errors import ModelError, WorkbenchError
from workbench.optimizations.dtypes import torch_dtype
from workbench.optimizations.options import EngineOptions
from workbench.optimizations.registry import applied

_ATTENTION = ("sdpa_math", "sdpa_efficient", "sdpa_flash", "flash_attention")


def gradients_off(options: EngineOptions) -> AbstractContextManager[Any]:
    """The block in which networks run: inference mode, or no-grad where that switch is off."""
    return torch.inference_mode() if options.inference_mode else torch.no_grad()


def networks(options: EngineOptions, device: torch.device) -> AbstractContextManager[Any]:
    """``gradients_off`` for the generative networks, under autocast where that switch is on."""
    # Entered for each frame: without autocast it is nothing but ``gradients_off``.
    if options.autocast_dtype is None:
        return gradients_off(options)
    return _autocast(options, device, options.autocast_dtype)


@contextmanager
def _autocast(options: EngineOptions, device: torch.device, dtype: str) -> Iterator[None]:
    # A weight once cast is kept until the block ends; a captured graph outlives it, and casts anew.
    kept = not options.cuda_graphs
    half = torch_dtype(dtype)
    with gradients_off(options), torch.autocast(device.type, half, cache_enabled=kept):
        yield


@contextmanager
def speaking(options: EngineOptions, threads: int) -> Iterator[None]:
    """The process as ``options`` want it, and at the end as it was before."""
    before = torch.get_num_threads()
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, before)
        torch.set_num_threads(threads)
        stack.enter_context(applied(*options.process))
        if options.quantization in ("int8", "int8_dynamic", "fp8"):
            from torch._inductor import config

            # 8-bit weights become constants that the compiler can lay out for its kernels.
            stack.enter_context(config.patch(freezing=True))
        yield


@contextmanager
def failures_named(engine: str, optimizations: Sequence[str]) -> Iterator[None]:
    """Errors of the libraries below name the engine and the switches that were on.

    Nothing goes on as the baseline: the caller gets a ModelError with the cause.
    """
    try:
        yield
    except (WorkbenchError, torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as problem:
        if not optimizations:
            raise
        reason = f"{type(problem).__name__}: {problem}".strip().splitlines()[0]
        suspects = _suspects(str(problem), optimizations)
        raise ModelError(
            f"{engine} failed with the optimization{'s' * (len(suspects) > 1)} "
            f"{', '.join(suspects)}: {reason}",
            f"leave {suspects[0] if len(suspects) == 1 else 'one of them'} out",
        ) from problem


def _suspects(message: str, optimizations: Sequence[str]) -> list[str]:
    """The switches that an error's words point to; all where they point to none."""
    names = list(optimizations)
    if "No viable backend" in message or "No available kernel" in message:
        names = [name for name in names if name in _ATTENTION] or names
    return names
