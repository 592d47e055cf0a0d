"""Checkpoints from a model hub: a pinned revision, safetensors only, checksums verified."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import ModelError
from workbench.files import sha256_of, write_json

_WANTED = ("*.safetensors", "*.json", "*.jinja")
# sesame/csm-1b also holds the original, non-transformers checkpoint.
_UNWANTED = ["ckpt*", "original/*"]


@dataclass(frozen=True)
class HubSnapshot:
    """A downloaded repository at one commit."""

    folder: Path
    repo_id: str
    revision: str


def cache_dir() -> Path:
    """The workbench's cache: ``$WORKBENCH_CACHE``, or ``workbench`` in the user's cache."""
    named = os.environ.get("WORKBENCH_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "workbench"


def snapshot(
    repo_id: str, revision: str | None = None, *, wanted: Sequence[str] = _WANTED
) -> HubSnapshot:
    """Downloads the ``wanted`` files (patterns) of ``repo_id``, or finds them in the cache.

    Without ``revision`` the commit of the first download is pinned in ``pins.json`` of the
    cache, with the SHA-256 of each weight file, and every later call uses that commit: a
    changed upstream never changes a measurement in silence. Raises ModelError where the hub
    can't be reached, access is refused, or a file doesn't have the hub's checksum.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    pins_path = cache_dir() / "pins.json"
    pins: dict[str, Any] = json.loads(pins_path.read_text()) if pins_path.is_file() else {}
    pin = pins.get(repo_id)
    if pin and revision in (None, pin["revision"]):
        try:
            cached = snapshot_download(
                repo_id,
                revision=pin["revision"],
                local_files_only=True,
                allow_patterns=list(wanted),
            )
            return HubSnapshot(Path(cached), repo_id, pin["revision"])
        except LocalEntryNotFoundError:
            pass  # the pin is known but the files were cleaned away: download them again below
    try:
        info = HfApi().model_info(
            repo_id, revision=revision or (pin and pin["revision"]), files_metadata=True
        )
        commit = str(info.sha)
        folder = Path(
            snapshot_download(
                repo_id, revision=commit, allow_patterns=list(wanted), ignore_patterns=_UNWANTED
            )
        )
    except GatedRepoError as problem:
        raise ModelError(
            f"the hub refuses access to {repo_id}",
            "accept its licence on the model's page and set HF_TOKEN, or pass a local folder",
        ) from problem
    except (RepositoryNotFoundError, RevisionNotFoundError) as problem:
        raise ModelError(
            f"the hub knows no model {repo_id!r} at revision {revision or 'main'!r}",
            "check the id, or pass a local folder",
        ) from problem
    except Exception as problem:  # what a failed connection raises varies with the hub's version
        raise ModelError(
            f"the model hub can't be reached for {repo_id} ({type(problem).__name__}: {problem})",
            "connect to the network, pass a local folder, or time the architecture with "
            'weights="random"',
        ) from problem
    sums: dict[str, str] = {}
    for file in info.siblings or []:
        expected = file.lfs.sha256 if file.lfs else None
        path = folder / file.rfilename
        if expected and path.is_file():
            sums[file.rfilename] = sha256_of(path)
            if sums[file.rfilename] != expected:
                raise ModelError(
                    f"{file.rfilename} of {repo_id} doesn't have the hub's checksum",
                    f"delete {file.rfilename} from the hub cache and load again",
                )
    if revision is None:
        write_json(pins_path, {**pins, repo_id: {"revision": commit, "sha256": sums}})
    return HubSnapshot(folder, repo_id, commit)
