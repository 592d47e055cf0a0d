"""What is imported in a guest's environment: its own packages first, and parts of some alone."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import sysconfig
import types


def bare_package(entry: str) -> None:
    """Lets modules of a package be imported without its own ``__init__``.

    Some packages import all they have there: F5-TTS its trainer, and with it wandb and
    accelerate; Vocos a second codec. ``entry`` is the package's name, or ``package:Name=module``,
    which also puts there what others import from the package itself: ``Name`` of ``module``, or
    with ``package:Name`` an empty class, for a name that is wanted in annotations only.

    Does nothing where the package is imported already. Raises ModuleNotFoundError where there is
    none.
    """
    name, _, wanted = entry.partition(":")
    if name not in sys.modules:
        _put(name)
    attribute, _, source = wanted.partition("=")
    package = sys.modules[name]
    if attribute and not hasattr(package, attribute):
        empty = type(attribute, (), {})
        found = getattr(importlib.import_module(source), attribute) if source else empty
        setattr(package, attribute, found)


def _put(name: str) -> None:
    """The package ``name`` in ``sys.modules``, with nothing in it."""
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
