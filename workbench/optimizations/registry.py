"""All switches by name, and how a list of names becomes an engine's options.

options = resolve(["frame_step", "bf16", "tf32"], site)      # EngineOptions
with applied("tf32", "cudnn_benchmark"): ...                 # process-wide ones, for a block
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module

from workbench.errors import InputError, ModelError
from workbench.optimizations.options import EngineOptions
from workbench.optimizations.switch import Site, Switch

# In the order in which a ladder climbs them: first what costs nothing, last what changes the sound.
NAMES = (
    "inference_mode",
    "cudnn_benchmark",
    "physical_threads",
    "static_kv_cache",
    "frame_step",
    "buffer_pool",
    "sync_free_sampling",
    "fused_projections",
    "folded_depth_embedding",
    "sdpa_math",
    "sdpa_efficient",
    "sdpa_flash",
    "flash_attention",
    "torch_jit",
    "torch_compile",
    "cuda_graphs",
    "prefill_buckets",
    "true_streaming",
    "batched_text",
    "batching",
    "pinned_memory",
    "preload_weights",
    "warmup",
    "native_rvq",
    "matmul_precision",
    "tf32",
    "autocast",
    "hybrid_precision",
    "bf16",
    "fp16",
    "bf16_default",
    "int8",
    "int8_dynamic",
    "fp8",
    "native_int8",
    "native_int4",
    "native_layers",
    "native_codec",
    "fewer_codebooks",
)
_OFF = ("0", "false", "off", "no")


@dataclass(frozen=True)
class Choice:
    """A switch with the value it is used with (empty where it has none)."""

    switch: Switch
    value: str = ""

    def __str__(self) -> str:
        default = self.switch.values[:1] in ((), (self.value,))
        return self.switch.name if default else f"{self.switch.name}={self.value}"

    @property
    def disabled(self) -> str:
        """Why the environment keeps it off; empty where it doesn't."""
        set_to = os.environ.get(self.switch.variable, "")
        if set_to.strip().lower() in _OFF:
            return f"{self.switch.variable}={set_to} keeps it off"
        return ""

    def unsupported(self, site: Site) -> str:
        """Why it can't be on at ``site``: the environment's word or its own; often empty."""
        return self.disabled or self.switch.supported(site)


@cache
def switch(name: str) -> Switch:
    """The switch called ``name``; InputError, naming the nearest ones, where there is none."""
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=3, cutoff=0.4)
        raise InputError(f"no optimization called {name!r}", f"use {', '.join(near or NAMES)}")
    found: Switch = import_module(f"workbench.optimizations.switches.{name}").SWITCH
    return found


def all_switches() -> list[Switch]:
    """All of them, in the order of a ladder."""
    return [switch(name) for name in NAMES]


def choose(text: str) -> Choice:
    """The choice written as ``name`` or ``name=value``.

    Raises InputError for an unknown name or a value that the switch doesn't take.
    """
    name, _, value = text.strip().partition("=")
    chosen = switch(name)
    if not chosen.values:
        if value:
            raise InputError(f"{name} takes no value, not {value!r}", f"use {name}")
        return Choice(chosen)
    value = value or chosen.values[0]
    if value not in chosen.values:
        wanted = ", ".join(chosen.values)
        if chosen.other_values is not None:
            wanted = chosen.other_values(value)
        if wanted:
            raise InputError(f"{name} has no value {value!r}", f"use {wanted}")
    return Choice(chosen, value)


def ordered(names: Sequence[str]) -> list[Choice]:
    """``names`` as choices in the registry's order, requirements and conflicts checked.

    Raises InputError for an unknown, doubled or conflicting one, or one without what it requires.
    """
    choices = sorted(map(choose, names), key=lambda choice: NAMES.index(choice.switch.name))
    known = [choice.switch.name for choice in choices]
    for name in known:
        if known.count(name) > 1:
            raise InputError(f"{name} is given twice", "give it once")
    for chosen in (choice.switch for choice in choices):
        for needed in chosen.requires:
            if needed not in known:
                raise InputError(f"{chosen.name} needs {needed}", f"add {needed}")
        for other in chosen.conflicts:
            if other in known:
                raise InputError(
                    f"{chosen.name} and {other} exclude each other", "leave one of them out"
                )
    return choices


def closure(name: str) -> tuple[str, ...]:
    """What the switch ``name`` requires, and what that requires, in the registry's order."""
    found: set[str] = set()
    waiting = list(switch(name.partition("=")[0]).requires)
    while waiting:
        needed = waiting.pop()
        if needed not in found:
            found.add(needed)
            waiting += switch(needed).requires
    return tuple(one for one in NAMES if one in found)


def resolve(names: Sequence[str], site: Site, start: EngineOptions | None = None) -> EngineOptions:
    """Options with exactly these switches on, over ``start`` (default: every switch off).

    Raises InputError for what ``ordered`` refuses, for a switch that ``site`` doesn't support and
    for one that the environment keeps off: nothing is left out in silence.
    """
    options = start or EngineOptions()
    for choice in ordered(names):
        reason = choice.unsupported(site)
        if reason:
            raise InputError(
                f"optimization {choice} can't be used here: {reason}",
                f"leave {choice.switch.name} out",
            )
        if choice.switch.change is not None:
            options = choice.switch.change(options, choice.value)
        else:
            options = replace(options, process=(*options.process, str(choice)))
    return options


@contextmanager
def applied(*names: str) -> Iterator[None]:
    """Holds process-wide switches on for a block, and puts back what was before.

    Raises InputError for switches of an engine, which ``workbench.load`` takes, and ModelError,
    naming the switch, where turning one on fails.
    """
    with ExitStack() as stack:
        for choice in ordered(names):
            if choice.switch.process is None:
                raise InputError(
                    f"{choice.switch.name} is a switch of engines, not of the process",
                    f"use workbench.load(…, optimizations=[{choice.switch.name!r}])",
                )
            if choice.disabled:
                raise InputError(f"{choice}: {choice.disabled}", "unset the variable")
            try:
                stack.enter_context(choice.switch.process(choice.value))
            except Exception as problem:
                raise ModelError(
                    f"optimization {choice} failed: {problem}",
                    f"leave {choice.switch.name} out",
                ) from problem
        yield
