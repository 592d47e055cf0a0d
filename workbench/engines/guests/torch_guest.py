"""What guests on PyTorch have in common: device, types, switches, and sound in parts of a text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from workbench.engines.conditions import gradients_off, networks, speaking
from workbench.engines.guests.hosted import Wanted
from workbench.engines.load import device_called
from workbench.errors import InputError, ModelError
from workbench.models.hub import snapshot
from workbench.optimizations.dtypes import DTYPES, half_dtype, torch_dtype
from workbench.optimizations.options import EngineOptions
from workbench.optimizations.presets import PRESETS, preset
from workbench.optimizations.registry import ordered, resolve
from workbench.optimizations.site import site_of

DEFAULT = ("inference_mode",)  # where nothing is said
# Switches that mean the same to every network, whatever its engine.
EVERYWHERE = (
    "inference_mode",
    "cudnn_benchmark",
    "physical_threads",
    "sdpa_math",
    "sdpa_efficient",
    "sdpa_flash",
    "torch_compile",
    "warmup",
    "matmul_precision",
    "tf32",
    "autocast",
    "hybrid_precision",
    "bf16",
    "fp16",
)


@dataclass(frozen=True)
class Running:
    """How a guest's networks run, decided from what was wanted and what the machine has.

    ``options.dtype`` is the generative networks' type, ``options.codec_dtype`` that of what turns
    their output into sound.
    """

    device: torch.device
    options: EngineOptions
    threads: int
    optimizations: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def dtype(self) -> torch.dtype:
        """Of the generative networks."""
        return torch_dtype(self.options.dtype)

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Threads and process-wide switches in force, gradients off."""
        with speaking(self.options, self.threads), gradients_off(self.options):
            yield

    @contextmanager
    def networks(self) -> Iterator[None]:
        """For generative networks: under autocast where that switch is on."""
        with networks(self.options, self.device):
            yield

    def compiled(self, modules: Sequence[torch.nn.Module]) -> None:
        """Compiles each of these in place, for any length, where that switch is on."""
        if self.options.compile_mode is None:
            return
        for module in modules:
            # Not module.compile(): some packages call ``forward`` itself.
            module.forward = torch.compile(
                module.forward, mode=self.options.compile_mode, dynamic=True
            )


def running(name: str, wanted: Wanted, applies: Sequence[str] = EVERYWHERE) -> Running:
    """How the engine ``name`` runs as ``wanted``; ``applies`` are the switches it has a use for.

    Where nothing is said: inference mode, and as type on CUDA the GPU's 16 bits with a float32
    codec, on the CPU float32. Of a preset what doesn't apply is left out, with why. Raises
    InputError for a switch that the engine has no use for or that can't work here, and for an
    unknown type or device.
    """
    device = device_called(wanted.device)
    if wanted.dtype is not None and wanted.dtype not in DTYPES:
        raise InputError(f"no dtype called {wanted.dtype!r}", f"use {', '.join(DTYPES)}")
    if wanted.threads is not None and wanted.threads < 1:
        raise InputError(f"{wanted.threads} threads", "use at least one")
    site = site_of(device, name)
    left_out: dict[str, str] = {}
    names: Sequence[str]
    if isinstance(wanted.optimizations, str):
        if wanted.optimizations not in PRESETS:
            raise InputError(
                f"no preset called {wanted.optimizations!r}", f"use {', '.join(PRESETS)}"
            )
        names, left_out = preset(wanted.optimizations, site)
        useless = [one for one in names if one.partition("=")[0] not in applies]
        left_out |= dict.fromkeys(useless, f"{name} has no use for it")
        names = [one for one in names if one not in useless]
    else:
        names = DEFAULT if wanted.optimizations is None else tuple(wanted.optimizations)
        for one in names:
            if one.partition("=")[0] not in applies:
                raise InputError(
                    f"{name} has no use for the optimization {one!r}",
                    f"it takes {', '.join(applies)}",
                )
    unsaid = wanted.optimizations is None and device.type == "cuda"
    start = EngineOptions(dtype=half_dtype(site) if unsaid else "float32")
    options = resolve(names, site, start)
    if wanted.dtype is not None:
        if options.autocast_dtype or (options.dtype != "float32" and not unsaid):
            raise InputError(
                f"dtype={wanted.dtype!r} beside an optimization that sets the type",
                "leave one of them out",
            )
        options = replace(options, dtype=wanted.dtype)
    if options.dtype == "half":
        options = replace(options, dtype=half_dtype(site))
    if options.autocast_dtype == "half":
        options = replace(options, autocast_dtype=half_dtype(site))
    threads = wanted.threads or options.threads or torch.get_num_threads()
    return Running(device, options, threads, tuple(map(str, ordered(names))), left_out)


class Stages:
    """The time of each stage, where asked for; on a GPU each is waited for."""

    def __init__(self, on: bool, device: torch.device) -> None:
        self._on = on
        self._cuda = device.type == "cuda"
        self.ms: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Adds the block's time to the stage ``name``."""
        if not self._on:
            yield
            return
        with ExitStack() as stack:
            if self._cuda:
                torch.cuda.synchronize()
                stack.callback(torch.cuda.synchronize)
            started = time.perf_counter()
            yield
        self.ms[name] = self.ms.get(name, 0.0) + (time.perf_counter() - started) * 1000


def folder_of(
    engine: str, checkpoint: str, files: Sequence[str], revision: str | None, remedy: str
) -> tuple[Path, str]:
    """The folder of a checkpoint (a folder here, or a hub id) and its revision.

    Raises ModelError, naming the file, where one of ``files`` is missing.
    """
    path = Path(checkpoint).expanduser()
    if path.is_dir():
        folder, found = path, f"folder {path.name}"
    elif path.exists() or checkpoint.startswith((".", "/", "~")):
        raise InputError(f"{engine}: no folder {checkpoint}", remedy)
    else:
        held = snapshot(checkpoint, revision, wanted=files)
        folder, found = held.folder, held.revision
    for file in files:
        if "*" not in file and not (folder / file).is_file():
            raise ModelError(f"{engine}: {file} is missing in {folder}", remedy)
    return folder, found


def weights_bytes(*modules: torch.nn.Module) -> int:
    """Bytes of all parameters and buffers."""
    tensors: list[Any] = [t for one in modules for t in (*one.parameters(), *one.buffers())]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
