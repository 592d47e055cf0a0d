"""LoRA adapters for CSM: read, checked against the model, merged into its weights or beside them.

Low-rank adaptation (Hu et al., 2021, https://arxiv.org/abs/2106.09685) by the library peft, in
its file layout: ``adapter_config.json`` and ``adapter_model.safetensors``. Ours add
``workbench.json``: the base that the adapter was trained on, and the voice it speaks as.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.errors import InputError, ModelError
from workbench.files import sha256_of
from workbench.models.checkpoint import Checkpoint, verify
from workbench.models.csm.load import LoadedCsm
from workbench.models.quiet import quiet

WEIGHTS, CONFIG, ABOUT = "adapter_model.safetensors", "adapter_config.json", "workbench.json"


@dataclass(frozen=True)
class Adapter:
    """An adapter's folder. ``about`` is its ``workbench.json``, empty for one made elsewhere.

    ``revision`` is the first twelve digits of the weights' SHA-256.
    """

    folder: Path
    revision: str
    about: Mapping[str, Any]


def find_adapter(folder: Path | str) -> Adapter:
    """The adapter in ``folder``, its checksums verified.

    Raises InputError where there is no such folder, ModelError for one without safetensors
    weights, of another kind than LoRA, or with a damaged file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"no adapter folder {folder}", "train one with `workbench train lora`")
    for file in (WEIGHTS, CONFIG):
        if not (folder / file).is_file():
            raise ModelError(
                f"{folder.name}: {file} is missing in {folder}",
                "use a folder in peft's layout; only safetensors weights are loaded",
            )
    sums = verify(folder)
    kind = _json(folder / CONFIG).get("peft_type")
    if kind != "LORA":
        raise ModelError(f"{folder.name}: an adapter of the kind {kind}", "use one made by LoRA")
    about = _json(folder / ABOUT) if (folder / ABOUT).is_file() else {}
    return Adapter(folder, (sums.get(WEIGHTS) or sha256_of(folder / WEIGHTS))[:12], about)


def check_base(adapter: Adapter, checkpoint: Checkpoint) -> None:
    """ModelError where ``adapter`` was trained on other weights than those of ``checkpoint``."""
    wanted = adapter.about.get("base_revision")
    if wanted is not None and wanted != checkpoint.revision:
        raise ModelError(
            f"{adapter.folder.name} was trained on {adapter.about.get('base')} of weights "
            f"{wanted}, and {checkpoint.name} has {checkpoint.revision}",
            "load the base that the adapter was trained on",
        )


def with_adapter(csm: LoadedCsm, adapter: Adapter, *, merged: bool) -> LoadedCsm:
    """``csm`` with ``adapter`` in its networks; its voices name the adapter's.

    ``merged`` adds the adapter to the weights, which costs nothing afterwards; otherwise each
    adapted projection makes two more small products. The model is changed in place.

    Raises InputError where peft is missing, ModelError for an adapter of another architecture.
    """
    model = adapted(csm.model, adapter)
    model = model.merge_and_unload() if merged else model.get_base_model()
    voices = dict(csm.voices)
    if "voice" in adapter.about:
        voices[int(adapter.about["voice"])] = str(adapter.about["voice_name"])
    return replace(csm, model=model.eval(), voices=voices)


def adapted(model: Any, adapter: Adapter) -> Any:
    """``model`` as a ``PeftModel`` with ``adapter``, checked to be whole."""
    try:
        with quiet():
            from peft import PeftModel, get_peft_model_state_dict
    except ImportError as problem:
        raise InputError(f"peft is not installed: {problem}", "pip install peft") from problem
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(adapter.folder / WEIGHTS, "pt") as file:
            stored = set(file.keys())
        with outdated_names():
            wrapped = PeftModel.from_pretrained(model, str(adapter.folder))
    except (SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as problem:
        raise ModelError(
            f"{adapter.folder.name} doesn't fit the model: {problem}",
            "load the base that the adapter was trained on, or restore the adapter's files",
        ) from problem
    if odd := sorted(stored ^ set(get_peft_model_state_dict(wrapped, save_embedding_layers=False))):
        raise ModelError(
            f"{adapter.folder.name} doesn't fit the model: {len(odd)} weights, first {odd[0]}",
            "load the base that the adapter was trained on",
        )
    return wrapped


@contextlib.contextmanager
def outdated_names() -> Iterator[None]:
    """Keeps to itself that peft (0.21) uses names that transformers (5.23) has renamed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise ModelError(f"{path} can't be read as JSON: {problem}", "restore it") from problem
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds no JSON object", "restore it")
    return found
