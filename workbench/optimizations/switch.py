"""A switch: one optimization, named, reversible, and bound to a promise about the sound."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from workbench.optimizations.options import EngineOptions

Workload = Literal["speech", "first_call", "batch", "text", "transfer"]


class Promise(StrEnum):
    """What a switch promises about the output, for the same text and seed."""

    EXACT = "exact"  # the same codes and the same samples, bit for bit
    TOLERANCE = "within tolerance"  # the same codes but for ties; samples equal to 1e-3
    DISTRIBUTION = "same distribution"  # other random draws: the words must stay
    LOSSY = "lossy"  # other codes: word errors may rise by no more than stated


@dataclass(frozen=True)
class Contract:
    """The promise; for a lossy one, by how much the word error rate may rise (0.02: 2 points)."""

    promise: Promise
    wer_increase: float = 0.0

    def __str__(self) -> str:
        more = f" (word error rate at most +{self.wer_increase:.0%})" if self.wer_increase else ""
        return f"{self.promise}{more}"


EXACT = Contract(Promise.EXACT)
TOLERANCE = Contract(Promise.TOLERANCE)
DISTRIBUTION = Contract(Promise.DISTRIBUTION, wer_increase=0.02)


def lossy(wer_increase: float) -> Contract:
    """A contract for switches that change the codes."""
    return Contract(Promise.LOSSY, wer_increase)


@dataclass(frozen=True)
class Site:
    """Where a switch is to work: the engine's family, its device, and the machine's numbers.

    ``capability`` is the GPU's compute capability, None on the CPU. ``codebooks`` are the
    engine's, 0 where they are unknown.
    """

    family: str = "csm"
    device: str = "cpu"
    capability: tuple[int, int] | None = None
    physical_cores: int = 1
    hardware_threads: int = 1
    codebooks: int = 0

    @property
    def cuda(self) -> bool:
        """Whether it is a CUDA GPU."""
        return self.device.startswith("cuda")


Change = Callable[[EngineOptions, str], EngineOptions]
Process = Callable[[str], AbstractContextManager[None]]


def everywhere(_: Site) -> str:
    """For switches that every machine and engine supports."""
    return ""


@dataclass(frozen=True)
class Switch:
    """One optimization; it lives in a module of its own, whose docstring explains it.

    ``change`` turns it on in an engine's options and ``process`` for the whole process while its
    block lasts; a switch has one of the two. Both get the chosen value, one of ``values`` (the
    first is the default; without any the value is empty) or one that ``other_values`` takes, which
    says what is wanted instead of a wrong one. ``supported`` says why it can't work at a site, and
    nothing where it can. ``requires`` and ``conflicts`` name other switches;
    ``part_of`` names one that contains it, beside which it changes nothing. ``workload`` is what
    an arm must do to show its effect and ``metric`` the figure that tells, less being better.
    """

    name: str
    summary: str
    contract: Contract
    change: Change | None = None
    process: Process | None = None
    supported: Callable[[Site], str] = everywhere
    values: tuple[str, ...] = ()
    other_values: Callable[[str], str] | None = None
    requires: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    part_of: str | None = None
    where: str = "everywhere"
    workload: Workload = "speech"
    metric: str = "frame_ms"

    def __post_init__(self) -> None:
        if (self.change is None) == (self.process is None):
            raise ValueError(f"switch {self.name!r} needs either change or process")

    @property
    def variable(self) -> str:
        """The environment variable that keeps it off: ``WORKBENCH_TF32=0``."""
        return f"WORKBENCH_{self.name.upper()}"

    @property
    def guide(self) -> str:
        """What, why, when not, source, contract: its module's docstring."""
        from importlib import import_module
        from inspect import cleandoc

        return cleandoc(
            import_module(f"workbench.optimizations.switches.{self.name}").__doc__ or ""
        )


def only_cuda(site: Site) -> str:
    """For switches that need a CUDA GPU."""
    return "" if site.cuda else "it works on CUDA GPUs only, and this runs on the CPU"
