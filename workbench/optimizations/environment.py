"""Environment variables of VoiceReel and F5-TTS, and what they mean as the workbench's switches.

settings = from_environment()                 # e.g. FISH_SPEECH_PRECISION=half
names, left_out = settings.optimizations(site)

The variables are those systems' own, so that a deployment which sets them needs no other. What is
not set is None: automatic. docs/voicereel.md has the table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from workbench.errors import InputError
from workbench.optimizations.presets import excludes, preset
from workbench.optimizations.registry import choose
from workbench.optimizations.switch import Site

PRESET = "batch"  # what an optimized engine runs with: many texts, the last one's end counts
_ON, _OFF = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_MOST_WORKERS = 64

Precision = Literal["half", "full"]


@dataclass(frozen=True)
class SpeechSettings:
    """How a script is to be spoken; None leaves it to the workbench.

    ``optimized`` False is transformers' ``generate`` in float32, without any switch. ``workers``
    are processes, each with an engine of its own; ``parallel`` False means one, whatever
    ``workers`` says. ``batch_size`` is the number of segments at a time, 0 is automatic.
    ``precision`` ``half`` is the device's 16-bit type with a float32 codec.
    """

    optimized: bool | None = None
    compile: bool | None = None
    cudnn_benchmark: bool | None = None
    matmul_precision: str | None = None
    precision: Precision | None = None
    device: str | None = None
    parallel: bool | None = None
    workers: int | None = None
    batch_size: int | None = None

    @property
    def asked(self) -> frozenset[str]:
        """The switches that were asked for by name."""
        wanted = {
            "torch_compile": self.compile,
            "cudnn_benchmark": self.cudnn_benchmark,
            "matmul_precision": self.matmul_precision in ("high", "medium"),
            "hybrid_precision": self.precision == "half",
        }
        return frozenset(name for name, on in wanted.items() if on)

    def optimizations(self, site: Site) -> tuple[tuple[str, ...], dict[str, str]]:
        """The switches for ``site``, and those left out although they belong here, with why."""
        names, left_out = ((), {}) if self.optimized is False else preset(PRESET, site)
        chosen = _Chosen(list(names), dict(left_out), site)
        if self.precision == "full" or (self.precision is None and not site.cuda):
            # On a CPU 16 bits are no faster (docs/log.md), and float32 says the same alone as
            # together with others.
            chosen.drop("hybrid_precision", "full precision")
        elif self.precision == "half":
            chosen.want("hybrid_precision")
        if self.cudnn_benchmark is not None:
            chosen.set("cudnn_benchmark", self.cudnn_benchmark)
        if self.compile is not None:
            chosen.set("torch_compile", self.compile)
        elif not site.cuda:
            chosen.drop("torch_compile", "on a CPU it takes longer than a script; ask for it")
        if self.matmul_precision is not None:
            # Both say how float32 products are rounded: the one that was asked for counts.
            chosen.drop("tf32", f"matmul_precision={self.matmul_precision} takes its place")
            if self.matmul_precision != "highest":
                chosen.want(f"matmul_precision={self.matmul_precision}")
        return tuple(chosen.names), chosen.left_out


class _Chosen:
    """A preset's switches while single ones are added and taken away."""

    def __init__(self, names: list[str], left_out: dict[str, str], site: Site) -> None:
        self.names, self.left_out, self._site = names, left_out, site

    def set(self, name: str, on: bool) -> None:
        """Turns a switch on or off."""
        if on:
            self.want(name)
        else:
            self.drop(name, "turned off")

    def drop(self, name: str, why: str) -> None:
        """Takes a switch away where it is on; says why."""
        if name in self.names:
            self.names.remove(name)
            self.left_out[name] = why

    def want(self, text: str) -> None:
        """Adds what was asked for; what it excludes makes way, unless it can't work here."""
        choice = choose(text)
        name = choice.switch.name
        if text in self.names:
            return
        reason = choice.unsupported(self._site)
        if reason:
            self.left_out[name] = reason
            return
        for other in list(self.names):
            if excludes(choice.switch, choose(other).switch):
                self.drop(other, f"{name} takes its place")
        self.left_out.pop(name, None)
        self.names.append(text)


@dataclass(frozen=True)
class Variable:
    """One variable: the setting it gives, the values it takes, what it does, and whose it is."""

    name: str
    setting: str
    values: str
    does: str
    system: str
    read: Callable[[str], Any]  # raises ValueError for what it doesn't know


def _boolean(text: str) -> bool:
    if text.lower() not in _ON + _OFF:
        raise ValueError(text)
    return text.lower() in _ON


def _number(least: int, most: int | None = None) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if value < least or (most is not None and value > most):
            raise ValueError(text)
        return value

    return read


def _one_of(*values: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() not in values:
            raise ValueError(text)
        return text.lower()

    return read


def _device(text: str) -> str:
    kind, _, index = text.lower().partition(":")
    if kind not in ("cpu", "cuda") or (index and (kind == "cpu" or not index.isdigit())):
        raise ValueError(text)
    return text.lower()


_SWITCH = "1 or 0 (true/false, yes/no, on/off)"
VARIABLES = (
    Variable(
        "VOICEREEL_USE_OPTIMIZED", "optimized", _SWITCH,
        "0: transformers' `generate` in float32; 1: the preset `batch`", "VoiceReel", _boolean,
    ),
    Variable(
        "FISH_SPEECH_COMPILE", "compile", _SWITCH,
        "`torch_compile`; what excludes it makes way", "VoiceReel", _boolean,
    ),
    Variable(
        "VOICEREEL_PARALLEL_SYNTHESIS", "parallel", _SWITCH,
        "1: several processes; 0: one, whatever the next line says", "VoiceReel", _boolean,
    ),
    Variable(
        "VOICEREEL_MAX_WORKERS", "workers", f"1 to {_MOST_WORKERS}",
        "processes, each with an engine of its own", "VoiceReel", _number(1, _MOST_WORKERS),
    ),
    Variable(
        "VOICEREEL_BATCH_SIZE", "batch_size", "0 or more",
        "segments at a time; 0: automatic", "VoiceReel", _number(0),
    ),
    Variable(
        "FISH_SPEECH_DEVICE", "device", "cpu, cuda or cuda:N",
        "where the engine runs", "VoiceReel", _device,
    ),
    Variable(
        "FISH_SPEECH_PRECISION", "precision", "half or full",
        "half: `hybrid_precision`; full: float32", "VoiceReel", _one_of("half", "full"),
    ),
    Variable(
        "ENABLE_TORCH_COMPILE", "compile", _SWITCH,
        "`torch_compile`; what excludes it makes way", "F5-TTS", _boolean,
    ),
    Variable(
        "ENABLE_CUDNN_BENCHMARK", "cudnn_benchmark", _SWITCH,
        "`cudnn_benchmark`", "F5-TTS", _boolean,
    ),
    Variable(
        "TORCH_MATMUL_PRECISION", "matmul_precision", "highest, high or medium",
        "`matmul_precision`; highest: float32 products stay exact", "F5-TTS",
        _one_of("highest", "high", "medium"),
    ),
)  # fmt: skip


def setting(name: str, text: str) -> dict[str, Any]:
    """What ``text`` means as the value of the variable ``name``: ``{"precision": "half"}``.

    Raises InputError for a value that it doesn't take, naming those it does.
    """
    variable = next(one for one in VARIABLES if one.name == name)
    try:
        return {variable.setting: variable.read(text)}
    except ValueError:
        raise InputError(f"{name}={text}", f"use {variable.values}") from None


def from_environment(environment: Mapping[str, str] | None = None) -> SpeechSettings:
    """What the variables ask for (default: of this process).

    Raises InputError for a value that a variable doesn't take, naming those it does, and for two
    variables that contradict each other.
    """
    environment = os.environ if environment is None else environment
    found: dict[str, tuple[Any, Variable]] = {}
    for variable in VARIABLES:
        text = environment.get(variable.name, "").strip()
        if not text:
            continue
        value = setting(variable.name, text)[variable.setting]
        before = found.setdefault(variable.setting, (value, variable))
        if before[0] != value:
            raise InputError(
                f"{before[1].name} and {variable.name} contradict each other", "unset one of them"
            )
    return SpeechSettings(**{setting: value for setting, (value, _) in found.items()})
