"""Chat checkpoints by name."""

from __future__ import annotations

import re
from pathlib import Path

from workbench.errors import InputError, ModelError
from workbench.models.chat.architectures import ARCHITECTURES
from workbench.models.checkpoint import Checkpoint, local_checkpoint
from workbench.models.hub import snapshot
from workbench.paths import data_dir

NANO = "chat-nano"
HUB_IDS = {
    "llama-3.2-1b": "meta-llama/Llama-3.2-1B-Instruct",
    "smollm2-1.7b": "HuggingFaceTB/SmolLM2-1.7B-Instruct",
    "smollm2-135m": "HuggingFaceTB/SmolLM2-135M-Instruct",
}
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def find_chat(name: str, *, random: bool = False, revision: str | None = None) -> Checkpoint:
    """The checkpoint called ``name``: ``chat-nano``, a known model, a folder, or a hub id.

    ``random`` asks for a known model's architecture only, which needs no download. Raises
    InputError for a name that is none of these, ModelError where files are missing or fail their
    checksum.
    """
    if random:
        if name not in ARCHITECTURES:
            raise InputError(
                f"no architecture called {name!r}", f"use one of {', '.join(ARCHITECTURES)}"
            )
        return Checkpoint(name, None, "random")
    if name == NANO:
        folder = data_dir() / "models" / NANO
        if not folder.is_dir():
            raise ModelError(
                f"{NANO}: no folder {folder}", f"make it with `workbench train {NANO}`"
            )
        return local_checkpoint(NANO, folder)
    if Path(name).is_dir():
        return local_checkpoint(Path(name).name, Path(name))
    if name in HUB_IDS or (_HUB_ID.fullmatch(name) and not name.startswith(".")):
        found = snapshot(HUB_IDS.get(name, name), revision)
        return Checkpoint(name, found.folder, found.revision)
    raise InputError(
        f"no chat model called {name!r}",
        f"use {', '.join((NANO, *HUB_IDS))}, a Gemini such as gemini-flash-latest, a folder, or "
        "a hub id",
    )
