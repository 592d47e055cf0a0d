"""A guest hosted in this process: where this interpreter is the guest's own, as in an arm."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

from workbench.engines.guests.hosted import Host


def inside(python: Path) -> bool:
    """Whether this process runs on the interpreter of the environment of ``python``."""
    return Path(sys.prefix).resolve() == python.parents[1].resolve()


class Here:
    """``Worker``'s calls and streams on an object of this process."""

    def __init__(self, hosted: Host) -> None:
        self._hosted = hosted

    def call(self, method: str, *args: Any) -> Any:
        """``object.method(*args)``."""
        return getattr(self._hosted, method)(*args)

    def stream(self, method: str, *args: Any) -> Generator[Any]:
        """The items of ``object.method(*args)`` as they are made."""
        yield from getattr(self._hosted, method)(*args)

    def close(self) -> None:
        """Nothing to end."""
