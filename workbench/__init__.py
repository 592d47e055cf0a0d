"""A notebook-driven workbench that makes voice AI fast, and proves it.

Nothing heavy happens at import: ``workbench.load`` pulls in torch when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench._version import __version__

if TYPE_CHECKING:
    from workbench.engines.load import load as load
    from workbench.engines.speak import speak as speak

__all__ = ["__version__", "load", "speak"]


def __getattr__(name: str) -> Any:
    if name == "load":
        from workbench.engines.load import load

        return load
    if name == "speak":
        from workbench.engines.speak import speak

        return speak
    raise AttributeError(f"module 'workbench' has no attribute {name!r}")
