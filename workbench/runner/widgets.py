"""Widgets on pages: what a progress bar or label last said, as text.

A widget's view is blank without a kernel, and its state breaks shared notebooks. What a batch
leaves of one is its last words.
"""

from __future__ import annotations

import html
import re
from typing import Any

VIEW = "application/vnd.jupyter.widget-view+json"
_STATE = "application/vnd.jupyter.widget-state+json"


def static_twins(node: Any) -> None:
    """Replaces each widget's view in the executed notebook ``node`` by text, where it has none
    but the view's own placeholder.
    """
    state = node.metadata.get("widgets", {}).get(_STATE, {}).get("state", {})
    for cell in node.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            view = data.pop(VIEW, None)
            if view and "text/html" not in data:
                words = _words(state, view.get("model_id", ""))
                data["text/plain"] = words or data.get("text/plain", "")


def _words(state: dict[str, Any], model_id: str) -> str:
    model = state.get(model_id, {})
    own = model.get("state", {})
    name = model.get("model_name", "")
    children = [
        _words(state, child.removeprefix("IPY_MODEL_"))
        for child in own.get("children", [])
        if isinstance(child, str)
    ]
    if name in ("HTMLModel", "LabelModel"):
        text = re.sub(r"<[^>]*>", "", str(own.get("value", "")))
        return html.unescape(text).replace("\N{NO-BREAK SPACE}", " ").strip()
    return " ".join(filter(None, children))
