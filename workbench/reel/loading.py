"""How an engine of a script is loaded: the settings that ``workbench.load`` gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.optimizations.environment import SpeechSettings


def load_settings(
    engine: str, weights: str, settings: SpeechSettings, own: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """What ``workbench.load(engine, …)`` gets, as JSON values, and which switches are left out.

    CSM's engines get all switches of ``settings``, guest engines on PyTorch those that mean the
    same to every network, and guests without PyTorch none. ``own`` are the engine's own settings.
    """
    from workbench.engines.load import device_called, own_settings
    from workbench.optimizations.site import site_of

    site = site_of(device_called(settings.device))
    names, left_out = settings.optimizations(site)
    found: dict[str, Any] = {
        **own_settings(own or {}),
        "weights": weights,
        "device": settings.device,
    }
    if not is_guest(engine):
        return {**found, "optimizations": list(names)}, left_out
    known = guest_switches(engine)
    useless = [name for name in names if name.partition("=")[0] not in known]
    why = f"{engine.partition(':')[0]} has no use for it"
    left_out |= {name.partition("=")[0]: why for name in useless}
    if known:
        found["optimizations"] = [name for name in names if name not in useless]
    return found, left_out


def is_guest(engine: str) -> bool:
    """Whether ``engine`` lives in an environment of its own."""
    from workbench.engines.guests.catalogue import GUESTS

    return engine.partition(":")[0] in GUESTS


def guest_switches(engine: str) -> tuple[str, ...]:
    """The switches that a guest engine has a use for: none where it doesn't run on PyTorch."""
    from workbench.engines.guests.catalogue import guest

    if "torch" not in guest(engine.partition(":")[0]).shared:
        return ()
    from workbench.engines.guests.torch_guest import EVERYWHERE

    return EVERYWHERE


def is_cuda(device: str | None) -> bool:
    """Whether engines run on CUDA: asked for, or there."""
    if device is not None:
        return device.startswith("cuda")
    import torch

    return torch.cuda.is_available()
