"""Sets of switches that belong together."""

from __future__ import annotations

from workbench.errors import InputError
from workbench.optimizations.registry import choose
from workbench.optimizations.switch import Site

# What `load` uses where nothing is said: what was measured to help and keeps the sound.
DEFAULT = "default"

PRESETS: dict[str, tuple[str, ...]] = {
    DEFAULT: ("inference_mode", "frame_step", "true_streaming"),
}


def preset(name: str, site: Site) -> tuple[tuple[str, ...], dict[str, str]]:
    """The preset's switches that ``site`` supports, and why the others are left out.

    Raises InputError for an unknown preset.
    """
    if name not in PRESETS:
        raise InputError(f"no preset called {name!r}", f"use {', '.join(PRESETS)}")
    left_out = {}
    used: list[str] = []
    for text in PRESETS[name]:
        choice = choose(text)
        reason = choice.unsupported(site)
        missing = [need for need in choice.switch.requires if need in left_out]
        if not reason and missing:
            reason = f"it needs {missing[0]}"
        if reason:
            left_out[choice.switch.name] = reason
        else:
            used.append(text)
    return tuple(used), left_out
