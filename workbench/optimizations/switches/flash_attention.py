"""Puts the flash-attn package's kernels behind PyTorch's attention.

What: ``torch.nn.attention.activate_flash_attention_impl`` with FA4 (package flash-attn-4) or FA3
(module flash_attn_interface), and the flash backend alone while it speaks.
Why: kernels written for Hopper and Blackwell reach more of the tensor cores than PyTorch's own.
When not: at batch 1, where attention over one query is bound by memory, not by tensor cores; with
masks or in float32, which these kernels don't take.
Source: Shah et al. 2024 (arXiv 2407.08608); claimed by FERN ("Flash Attention 2") and RTX50.
Contract: within tolerance; the same sums in another order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from workbench.optimizations.switch import TOLERANCE, Site, Switch, only_cuda

# What torch can put in place, newest first: its name there, the module, the package to install.
_IMPLEMENTATIONS = (
    ("FA4", "flash_attn.cute", "flash-attn-4"),
    ("FA3", "flash_attn_interface", "flash-attn-3"),
)


def _found() -> str:
    """The newest implementation that is installed and that this torch can put in place."""
    from torch.nn import attention

    if not hasattr(attention, "activate_flash_attention_impl"):
        return ""
    for name, module, _ in _IMPLEMENTATIONS:
        try:
            if find_spec(module) is not None:
                return name
        except ModuleNotFoundError:  # of the package that the module lies in
            continue
    return ""


def _supported(site: Site) -> str:
    if reason := only_cuda(site):
        return reason
    if site.capability is not None and site.capability < (9, 0):
        return "its kernels need compute capability 9.0; sdpa_efficient works below it"
    if not _found():
        packages = " or ".join(package for _, _, package in _IMPLEMENTATIONS)
        return f"neither is installed: {packages}"
    return (
        "its kernels take no masks, and attention over caches of a fixed length needs one; "
        "sdpa_efficient takes them"
    )


@contextmanager
def _on(_: str) -> Iterator[None]:
    from torch.nn import attention

    before = attention.current_flash_attention_impl()
    attention.activate_flash_attention_impl(_found())
    try:
        with attention.sdpa_kernel(attention.SDPBackend.FLASH_ATTENTION):
            yield
    finally:
        attention.restore_flash_attention_impl()
        if before is not None:
            attention.activate_flash_attention_impl(before)


SWITCH = Switch(
    name="flash_attention",
    summary="flash-attn's kernels for attention",
    contract=TOLERANCE,
    process=_on,
    supported=_supported,
    where="nowhere yet",
    conflicts=("sdpa_math", "sdpa_efficient", "sdpa_flash"),
)
