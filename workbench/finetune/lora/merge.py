"""Base and adapter as one checkpoint, which any loader of CSM takes."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from workbench.errors import InputError
from workbench.files import write_json
from workbench.finetune.nano.export import finish
from workbench.models.checkpoint import find
from workbench.models.csm.adapter import ABOUT, check_base, find_adapter, with_adapter
from workbench.models.csm.load import load_csm
from workbench.models.quiet import quiet

_COPIED = ("*.json", "*.jinja")
_NOT_COPIED = ("model.safetensors.index.json", ABOUT)  # of the base's weights; written here


def merge(base: str, adapter: Path | str, out: Path | str, *, revision: str | None = None) -> Path:
    """Writes ``base`` with ``adapter`` in its weights, the codec too, to ``out``; returns it.

    Added in float32, and stored in the base's own type. Raises InputError where ``out`` is the
    base's folder, ModelError where adapter and base don't belong together.
    """
    checkpoint, found, out = find(base, revision=revision), find_adapter(adapter), Path(out)
    assert checkpoint.folder is not None  # only random weights come without a folder
    if out.resolve() == checkpoint.folder.resolve():
        raise InputError(f"{out} holds the base", "choose another folder for the merged model")
    check_base(found, checkpoint)
    csm = load_csm(checkpoint, random=False, dtype=torch.float32, device=torch.device("cpu"))
    stored = str(checkpoint.read_json("config.json").get("dtype", "float32"))
    csm = with_adapter(csm, found, merged=True)
    out.mkdir(parents=True, exist_ok=True)
    with quiet():
        csm.model.to(getattr(torch, stored)).save_pretrained(out, safe_serialization=True)
    for pattern in _COPIED:
        for path in checkpoint.folder.glob(pattern):
            if path.name not in _NOT_COPIED:
                shutil.copyfile(path, out / path.name)
    about = checkpoint.read_json_or_empty(ABOUT)
    about.pop("codec", None)  # it is in the weights now
    voices = {str(number): {"name": name} for number, name in csm.voices.items()}
    about["voices"] = voices | about.get("voices", {})
    if "voice" in found.about:
        name = {"name": found.about["voice_name"], "description": "LoRA, merged"}
        about["voices"][str(found.about["voice"])] = name
    merged = {**found.about, "adapter_revision": found.revision}
    write_json(out / ABOUT, {**about, "merged": merged})
    card = f"# {base} with a LoRA adapter\n\nThe adapter's card tells what it is.\n"
    own = found.folder / "README.md"
    return finish(out, own.read_text(encoding="utf-8") if own.is_file() else card)
