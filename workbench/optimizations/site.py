"""The site of an engine on this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from workbench.hardware import cpu
from workbench.optimizations.switch import Site

if TYPE_CHECKING:
    import torch


def site_of(device: torch.device, family: str = "csm", codebooks: int = 0) -> Site:
    """Where switches of an engine on ``device`` are to work."""
    import torch

    threads = os.cpu_count() or 1
    capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else None
    return Site(
        family=family,
        device=device.type,
        capability=capability,
        physical_cores=cpu.physical_cores() or threads,
        hardware_threads=threads,
        codebooks=codebooks,
    )
