"""Optional packages that switches build on."""

from __future__ import annotations

from importlib.util import find_spec


def torchao_missing() -> str:
    """Why torchao can't be used here; empty where it can."""
    if find_spec("torchao") is None:
        return "torchao isn't installed; pip install 'workbench[int8]'"
    return ""
