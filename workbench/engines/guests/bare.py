"""What is imported in a guest's environment: its own packages first, and parts of some alone."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import sysconfig
import types


def bare_package(name: str) -> None:
    """Lets modules of the package ``name`` be imported without its own ``__init__``.

    Some packages import all they have there: F5-TTS its trainer, and with it wandb and
    accelerate; Vocos a second codec. Does nothing where the package is imported already. Raises
    ModuleNotFoundError where there is none.
    """
    if name in sys.modules:
        return
    parent = name.rpartition(".")[0]
    if parent:
        importlib.import_module(parent)
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No package named {name!r}", name=name)
    module = types.ModuleType(name)
    module.__spec__ = spec
    module.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = module


def own_packages_first() -> None:
    """Puts the environment's own packages before those it shares with the workbench.

    Where the workbench is installed and not a checkout, its packages come in on PYTHONPATH, which
    Python reads before an environment's own folder.
    """
    for own in {sysconfig.get_path("platlib"), sysconfig.get_path("purelib")}:
        if own in sys.path:
            sys.path.remove(own)
            sys.path.insert(0, own)
