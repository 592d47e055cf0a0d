"""What runs in a guest's environment to see whether it works. Needs the standard library only."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
from collections.abc import Sequence

from workbench.engines.guests.bare import bare_package, own_packages_first
from workbench.errors import ModelError


class Probe:
    """Imports what an engine needs and tells the versions that were found."""

    def look(
        self, modules: Sequence[str], distributions: Sequence[str], bare: Sequence[str] = ()
    ) -> dict[str, str]:
        """Versions by distribution, and Python's own.

        ``bare`` packages are imported without their start-up code. Raises ModelError, naming the
        module, where one can't be imported.
        """
        own_packages_first()
        for module in modules:
            try:
                for package in bare:
                    bare_package(package)
                importlib.import_module(module)
            except Exception as problem:  # packages also fail at import with other errors
                raise ModelError(
                    f"{module} can't be imported ({type(problem).__name__}: {problem})",
                    "install the engine again",
                ) from problem
        found = {"python": platform.python_version()}
        for name in distributions:
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                raise ModelError(f"{name} is not installed", "install the engine again") from None
        return found
