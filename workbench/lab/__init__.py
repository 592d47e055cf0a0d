"""What a notebook uses: players, plots, cards and the report.

``from workbench import lab`` costs nothing; each name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.lab.report import Report as Report
    from workbench.lab.report import begin as begin

_HOMES = {
    "begin": "report",
    "Report": "report",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'workbench.lab' has no attribute {name!r}")
    return getattr(import_module(f"workbench.lab.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
