"""``load``: an engine by name, folder or hub id."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from workbench.errors import InputError
from workbench.optimizations.dtypes import DTYPES, auto_dtype, half_dtype, torch_dtype
from workbench.optimizations.options import EngineOptions
from workbench.optimizations.presets import DEFAULT, preset
from workbench.optimizations.registry import ordered, resolve
from workbench.optimizations.switch import Site

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from workbench.engines.csm.engine import CsmEngine

# csm-nano learned on sentences of a few seconds; CSM-1B takes paragraphs.
_NANO_CHARS_PER_PART = 90
_CHARS_PER_PART = 400
_NATIVE = "native_layers"


def load(
    name: str,
    *,
    weights: Literal["auto", "random"] = "auto",
    implementation: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    threads: int | None = None,
    optimizations: Sequence[str] | str | None = None,
    safe_modes: bool | None = None,
    adapter: Path | str | None = None,
    merge_adapter: bool = True,
    **settings: Any,
) -> Any:
    """Loads a synthesizer: a ``CsmEngine``, or a ``GuestEngine`` from an environment of its own.

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

    ``optimizations`` is a list of switches (``["frame_step", "bf16"]``: exactly these are on;
    ``[]``: none, which is transformers' ``generate`` in float32) or a preset's name, whose
    switches that can't work here are told in the engine's ``left_out``. Default: the preset
    ``default``. ``workbench.optimizations.all_switches()`` lists them all.

    ``safe_modes`` allows the ladder of ``workbench.engines.safe_modes`` where memory runs out,
    which changes sound or speed; what was applied is in the engine's ``safe_modes``. None: as
    the environment's ``WORKBENCH_SAFE_MODES`` says, by default no.

    ``adapter`` is a LoRA adapter's folder (``workbench train lora`` makes one). It is added to the
    weights, or with ``merge_adapter=False`` computed beside them, which is slower and excludes the
    switches that look into the weights.

    ``piper``, ``chatterbox``, ``f5`` and ``fish`` are guests: each lives in an environment of its
    own (``workbench engines install NAME``), takes a checkpoint after a colon
    (``piper:voices/name.onnx``) and has ``settings`` of its own, see ``docs/engines.md``.

    Raises InputError for an unknown name or setting, ModelError for files that are missing or
    damaged, an adapter of another base and a guest that isn't installed, OutOfMemory, with what
    would fit, for weights that don't.
    """
    from workbench.engines.guests.load import is_guest, load_guest

    if is_guest(name):
        if weights not in ("auto", "random"):
            raise InputError(f"weights={weights!r}", "use 'auto' or 'random'")
        if implementation is not None or safe_modes is not None or adapter is not None:
            raise InputError(
                f"{name} with implementation, safe_modes or adapter",
                "leave them out: a guest has one implementation, and adapters are CSM's",
            )
        return load_guest(
            name,
            weights=weights,
            device=device,
            dtype=dtype,
            revision=revision,
            threads=threads,
            optimizations=optimizations,
            **settings,
        )
    if settings:
        raise InputError(
            f"{name} has no setting {', '.join(map(repr, settings))}",
            "only guests (piper, chatterbox, f5, fish) have settings of their own",
        )
    from workbench.engines.safe_modes import load_with, wanted
    from workbench.optimizations.site import site_of

    safe = wanted(safe_modes)
    target = device_called(device)

    def attempt(device: str | None = device, dtype: str | None = dtype) -> CsmEngine:
        return _load(
            name,
            weights=weights,
            implementation=implementation,
            target=device_called(device),
            dtype=dtype,
            revision=revision,
            threads=threads,
            optimizations=optimizations,
            safe=safe,
            adapter=adapter,
            merge_adapter=merge_adapter,
        )

    if not safe:
        return attempt()
    half = half_dtype(site_of(target))
    engine, applied = load_with(attempt, target.type, dtype, half)
    engine.safe_modes = applied
    return engine


def own_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` as the settings of an engine's own, whichever engine that is.

    Raises InputError for one that is an argument of ``load`` itself, such as ``device``.
    """
    taken = [name for name in given if name in inspect.signature(load).parameters]
    if taken:
        raise InputError(
            f"{', '.join(map(repr, taken))} among an engine's own settings",
            "every engine has it: use the option or argument of that name",
        )
    return dict(given)


def _load(
    name: str,
    *,
    weights: Literal["auto", "random"],
    implementation: str | None,
    target: torch.device,
    dtype: str | None,
    revision: str | None,
    threads: int | None,
    optimizations: Sequence[str] | str | None,
    safe: bool,
    adapter: Path | str | None,
    merge_adapter: bool,
) -> CsmEngine:
    """One attempt of ``load``."""
    from workbench.engines.adapters import beside_adapter
    from workbench.engines.conditions import failures_named
    from workbench.engines.csm.engine import GENERATORS, CsmEngine
    from workbench.engines.csm.memory import check_weights, weights_named
    from workbench.models.checkpoint import find
    from workbench.models.csm.adapter import check_base, find_adapter, with_adapter
    from workbench.models.csm.load import config_of, load_csm, touch
    from workbench.models.csm.quantization import quantize
    from workbench.optimizations.site import site_of

    if weights not in ("auto", "random"):
        raise InputError(f"weights={weights!r}", "use 'auto' or 'random'")
    if implementation is not None and implementation not in GENERATORS:
        raise InputError(
            f"no implementation called {implementation!r}", f"use {' or '.join(GENERATORS)}"
        )
    if dtype is not None and dtype not in DTYPES:
        raise InputError(f"no dtype called {dtype!r}", f"use {', '.join(DTYPES)}")
    if threads is not None and threads < 1:
        raise InputError(f"{threads} threads", "use at least one")
    random = weights == "random"
    checkpoint = find(name, random=random, revision=revision)
    settings = checkpoint.read_json_or_empty("config.json")
    small = settings.get("hidden_size", 2048) < 1024
    site = site_of(target, "csm", settings.get("num_codebooks", 32))
    names, left_out = _chosen(optimizations, site, dtype)
    found = None if adapter is None else find_adapter(adapter)
    if found is not None:
        check_base(found, checkpoint)
        if not merge_adapter:
            asked = optimizations is not None and not isinstance(optimizations, str)
            names, left_out = beside_adapter(names, left_out, asked=asked)
    options = resolve(
        names, site, EngineOptions(dtype="auto" if optimizations is None else "float32")
    )
    options = _adjusted(options, implementation, dtype, threads, optimizations)
    options = _with_types(options, site, small)
    if options.threads is None and small:
        options = replace(options, threads=1)
    config = config_of(checkpoint)
    if not small:
        check_weights(checkpoint.name, config, options.dtype, target)
    with weights_named(checkpoint.name, config, options.dtype, target):
        csm = load_csm(
            checkpoint,
            random=random,
            dtype=torch_dtype(options.dtype),
            codec_dtype=torch_dtype(options.codec_dtype),
            device=target,
        )
    told = "random" if random else checkpoint.revision
    if found is not None:
        csm = with_adapter(csm, found, merged=merge_adapter)
        told = f"{told}+{found.revision}{'' if merge_adapter else ' unmerged'}"
    chosen = tuple(map(str, ordered(names)))
    with failures_named(checkpoint.name, chosen):
        if options.preload_weights:
            touch(csm.model)
        engine = CsmEngine(
            csm,
            name=checkpoint.name,
            weights=told,
            options=options,
            optimizations=chosen,
            left_out=left_out,
            chars_per_part=_NANO_CHARS_PER_PART if small else _CHARS_PER_PART,
            safe=safe,
        )
        if options.quantization is not None:
            quantize(engine.networks, options.quantization)
    if options.warm_up:
        engine.warm_up()
    return engine


def _with_types(options: EngineOptions, site: Site, small: bool) -> EngineOptions:
    """``options`` with ``auto`` and ``half`` spelled out for this site."""

    def named(dtype: str) -> str:
        if dtype == "auto":
            return auto_dtype(site, small)
        return half_dtype(site) if dtype == "half" else dtype

    autocast = options.autocast_dtype
    return replace(
        options,
        dtype=named(options.dtype),
        codec_dtype=named(options.codec_dtype),
        autocast_dtype=None if autocast is None else named(autocast),
    )


def _chosen(
    optimizations: Sequence[str] | str | None, site: Site, dtype: str | None
) -> tuple[Sequence[str], dict[str, str]]:
    """The switches that were asked for, and those of a preset that can't work here, with why."""
    if optimizations is not None and not isinstance(optimizations, str):
        return tuple(optimizations), {}
    names, left_out = preset(DEFAULT if optimizations is None else optimizations, site)
    if dtype == "float16" and _NATIVE in names:
        names = tuple(name for name in names if name != _NATIVE)
        left_out[_NATIVE] = "its kernels don't read float16"
    return names, left_out


def _adjusted(
    options: EngineOptions,
    implementation: str | None,
    dtype: str | None,
    threads: int | None,
    optimizations: Sequence[str] | str | None,
) -> EngineOptions:
    """``options`` with what was said outright, which must not contradict the switches."""
    if implementation is not None:
        if optimizations is not None:
            raise InputError(
                "implementation and optimizations are both given",
                "list 'frame_step' among the optimizations, or leave it out",
            )
        options = replace(options, generator=implementation)  # type: ignore[arg-type]
        if implementation == "transformers":
            options = replace(options, streaming="pseudo")
    if dtype is not None:
        if options.dtype not in ("auto", "float32", dtype) or options.autocast_dtype:
            raise InputError(
                f"dtype={dtype!r} beside an optimization that sets the type",
                "leave one of them out",
            )
        options = replace(options, dtype=dtype)
    if threads is None:
        return options
    if options.threads not in (None, threads):
        raise InputError(
            f"threads={threads} beside physical_threads, which are {options.threads}",
            "leave one of them out",
        )
    return replace(options, threads=threads)


def device_called(name: str | None) -> torch.device:
    """The device ``name``, or CUDA where there is one; InputError where it can't be had."""
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
