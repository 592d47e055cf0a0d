"""Where the shipped data and notebooks lie: in the checkout, or inside an installed wheel."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import ModelError

_PACKAGE = Path(__file__).resolve().parent


def share_dir(name: str) -> Path:
    """Folder ``data`` or ``notebooks`` as shipped.

    Raises ModelError where neither a checkout nor an installed wheel holds it.
    """
    for candidate in (_PACKAGE.parent / name, _PACKAGE / "_share" / name):
        if candidate.is_dir():
            return candidate
    raise ModelError(
        f"the workbench's folder {name!r} is missing beside the package",
        "reinstall the package, or work from a checkout of the repository",
    )


def data_dir() -> Path:
    """Shipped nano models, prompts and reference results."""
    return share_dir("data")


def notebooks_dir() -> Path:
    """Shipped notebooks."""
    return share_dir("notebooks")
