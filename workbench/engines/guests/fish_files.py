"""Fish-Speech's files: a checkpoint's folder, its configuration, and weights.

Those of OpenAudio S1, as ``fishaudio/openaudio-s1-mini``: before it the codec was another one, and
its successor writes its configuration in another way.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workbench.engines.guests.hosted import Wanted
from workbench.engines.guests.torch_guest import folder_of
from workbench.errors import ModelError

CONFIG, MODEL, CODEC = "config.json", "model.pth", "codec.pth"
FILES = (CONFIG, MODEL, CODEC, "tokenizer.tiktoken", "special_tokens.json")
_MEND = (
    "name a folder with all of a checkpoint's files, as "
    "`hf download fishaudio/openaudio-s1-mini --local-dir FOLDER` makes, or its hub id"
)
_AGAIN = "download it again; the files must be OpenAudio S1's, of fish-speech 0.1"


def found(wanted: Wanted) -> tuple[Path, str]:
    """The checkpoint's folder and its revision.

    Raises InputError for a folder that isn't there, ModelError naming the file that is missing.
    """
    return folder_of("fish", wanted.checkpoint, FILES, wanted.revision, _MEND)


def configuration(folder: Path) -> dict[str, Any]:
    """What ``config.json`` says; ModelError where it is damaged or of another architecture."""
    path = folder / CONFIG
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        kind = told["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise ModelError(
            f"fish: {path} can't be read ({type(problem).__name__}: {problem})", _AGAIN
        ) from problem
    if kind != "dual_ar":
        raise ModelError(
            f"fish: {path} is of the architecture {kind!r}, and fish-speech 0.1 knows 'dual_ar'",
            "use fishaudio/openaudio-s1-mini, or a model that was trained from it",
        )
    return dict(told)


def weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a ``.pth`` by name, without what trainers put around them.

    Only tensors are read, so the file can't run code. Raises ModelError for one that is torn or
    holds anything else.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        stored = stored.get("state_dict", stored)
        state = {name: one for name, one in stored.items() if isinstance(one, torch.Tensor)}
    except Exception as problem:  # zip, pickle and torch each fail in their own way
        first = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        raise ModelError(f"fish: {path} can't be read: {first[:200]}", _AGAIN) from problem
    if any("generator." in name for name in state):  # a codec beside its discriminators
        state = {name: one for name, one in state.items() if "generator." in name}
    prefixes = ("generator.", "model.")
    return {_without(name, prefixes): tensor for name, tensor in state.items()}


def _without(name: str, prefixes: tuple[str, ...]) -> str:
    for prefix in prefixes:
        name = name.removeprefix(prefix)
    return name


def put(network: nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    """Puts ``state`` in ``network``; what it has no place for is left, as the package does.

    Raises ModelError where a parameter is missing or of another shape: the package would go on
    with random ones.
    """
    try:
        missing = network.load_state_dict(state, strict=False, assign=True).missing_keys
    except RuntimeError as problem:
        first = [*str(problem).splitlines(), ""][1].strip()[:200]
        raise ModelError(f"fish: {path} is of another architecture ({first})", _AGAIN) from problem
    parameters = {name for name, _ in network.named_parameters()}
    lacking = sorted(parameters.intersection(missing))
    if lacking:
        raise ModelError(
            f"fish: {path} has no {lacking[0]} ({len(lacking)} parameters are missing)", _AGAIN
        )
