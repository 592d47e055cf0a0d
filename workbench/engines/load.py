"""``load``: an engine by name, folder or hub id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from workbench.errors import InputError
from workbench.optimizations.dtypes import DTYPES, auto_dtype, half_dtype, torch_dtype
from workbench.optimizations.options import EngineOptions
from workbench.optimizations.presets import DEFAULT, preset
from workbench.optimizations.registry import ordered, resolve
from workbench.optimizations.switch import Site

if TYPE_CHECKING:
    import torch

    from workbench.engines.csm import CsmEngine

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
    optimizations: Sequence[str] | str | None = None,
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

    ``optimizations`` is a list of switches (``["frame_step", "bf16"]``: exactly these are on;
    ``[]``: none, which is transformers' ``generate`` in float32) or a preset's name, whose
    switches that can't work here are told in the engine's ``left_out``. Default: the preset
    ``default``. ``workbench.optimizations.all_switches()`` lists them all.

    Raises InputError for an unknown name or setting, ModelError for files that are missing or
    damaged.
    """

    from workbench.engines.conditions import failures_named
    from workbench.engines.csm import GENERATORS, CsmEngine
    from workbench.models.checkpoint import find
    from workbench.models.csm.load import load_csm, touch
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
    target = device_called(device)
    random = weights == "random"
    checkpoint = find(name, random=random, revision=revision)
    settings = checkpoint.read_json_or_empty("config.json")
    small = settings.get("hidden_size", 2048) < 1024
    site = site_of(target, "csm", settings.get("num_codebooks", 32))
    names, left_out = _chosen(optimizations, site)
    options = resolve(
        names, site, EngineOptions(dtype="auto" if optimizations is None else "float32")
    )
    options = _adjusted(options, implementation, dtype, threads, optimizations)
    options = _with_types(options, site, small)
    if options.threads is None and small:
        options = replace(options, threads=1)
    csm = load_csm(
        checkpoint,
        random=random,
        dtype=torch_dtype(options.dtype),
        codec_dtype=torch_dtype(options.codec_dtype),
        device=target,
    )
    chosen = tuple(map(str, ordered(names)))
    with failures_named(checkpoint.name, chosen):
        if options.preload_weights:
            touch(csm.model)
        engine = CsmEngine(
            csm,
            name=checkpoint.name,
            weights="random" if random else checkpoint.revision,
            options=options,
            optimizations=chosen,
            left_out=left_out,
            chars_per_part=_NANO_CHARS_PER_PART if small else _CHARS_PER_PART,
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
    optimizations: Sequence[str] | str | None, site: Site
) -> tuple[Sequence[str], dict[str, str]]:
    """The switches that were asked for, and those of a preset that can't work here, with why."""
    if optimizations is None:
        return preset(DEFAULT, site)
    if isinstance(optimizations, str):
        return preset(optimizations, site)
    return tuple(optimizations), {}


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
