"""``load``: an engine by name, folder or hub id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from workbench.errors import InputError

if TYPE_CHECKING:
    import torch

    from workbench.engines.csm import CsmEngine

_DTYPES = ("float32", "bfloat16", "float16")
# csm-nano learned on sentences of a few seconds; CSM-1B takes paragraphs.
_NANO_CHARS_PER_PART = 90
_CHARS_PER_PART = 400


def load(
    name: str,
    *,
    weights: Literal["auto", "random"] = "auto",
    implementation: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    threads: int | None = None,
) -> CsmEngine:
    """Loads a synthesizer.

    ``name`` is ``csm-nano`` (shipped), ``csm-1b`` (from the hub), a folder in transformers' CSM
    layout, or a hub id. ``weights="random"`` builds the full architecture without any download:
    for timing; its audio is noise, and every result says so. ``implementation`` is ``frame``
    (default) or ``transformers``. ``device`` is ``cuda`` where there is one, else ``cpu``.
    ``dtype`` follows the device: on CUDA bfloat16 from compute capability 8.0, float16 from 6.0
    (the rule of F5-TTS); on the CPU float32 for small models, bfloat16 for large ones. The codec
    stays in float32. ``threads`` is the number of CPU threads while it speaks: one for small
    models, whose products are too small to share and which stall when another program holds
    the second core; torch's own number for large ones. ``revision`` is a hub commit; without
    it the first download's is pinned.

    Raises InputError for an unknown name or setting, ModelError for files that are missing or
    damaged.
    """

    from workbench.engines.csm import DEFAULT_IMPLEMENTATION, GENERATORS, CsmEngine
    from workbench.models.checkpoint import find
    from workbench.models.csm.load import load_csm

    if weights not in ("auto", "random"):
        raise InputError(f"weights={weights!r}", "use 'auto' or 'random'")
    implementation = implementation or DEFAULT_IMPLEMENTATION
    if implementation not in GENERATORS:
        raise InputError(
            f"no implementation called {implementation!r}", f"use {' or '.join(GENERATORS)}"
        )
    if dtype is not None and dtype not in _DTYPES:
        raise InputError(f"no dtype called {dtype!r}", f"use {', '.join(_DTYPES)}")
    if threads is not None and threads < 1:
        raise InputError(f"{threads} threads", "use at least one")
    target = _device(device)
    random = weights == "random"
    checkpoint = find(name, random=random, revision=revision)
    small = checkpoint.read_json_or_empty("config.json").get("hidden_size", 2048) < 1024
    csm = load_csm(checkpoint, random=random, dtype=_dtype(dtype, target, small), device=target)
    return CsmEngine(
        csm,
        name=checkpoint.name,
        weights="random" if random else checkpoint.revision,
        implementation=implementation,
        chars_per_part=_NANO_CHARS_PER_PART if small else _CHARS_PER_PART,
        threads=threads or (1 if small else None),
    )


def _device(name: str | None) -> torch.device:
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as problem:
        raise InputError(f"no device called {name!r}", "use 'cpu' or 'cuda'") from problem
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "device 'cuda' was asked for, but PyTorch sees no CUDA GPU here",
            "run `workbench hardware`, or use device='cpu'",
        )
    return device


def _dtype(name: str | None, device: torch.device, small: bool) -> torch.dtype:
    import torch

    if name is not None:
        return getattr(torch, name)
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        if capability >= (8, 0):
            return torch.bfloat16
        return torch.float16 if capability >= (6, 0) else torch.float32
    return torch.float32 if small else torch.bfloat16
