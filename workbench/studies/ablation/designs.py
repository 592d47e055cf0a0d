"""Which arms an ablation needs: one at a time, a cumulative ladder, or leave one out.

A switch is measured by the workload and the figure that show it, so that an ablation is several
comparisons, each one study: a baseline, its A/A control, and arms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from workbench.errors import InputError
from workbench.optimizations import NAMES, Site, closure, ordered, switch
from workbench.optimizations.registry import Choice, choose
from workbench.optimizations.switch import Workload
from workbench.studies.ablation.defaults import Design
from workbench.studies.ablation.settings import ALL, AblationSettings

PLAIN = "plain"  # the name of an arm without any switch

# The rungs that change how a frame is made, from what costs nothing to what changes the sound.
LADDER = (
    "inference_mode",
    "frame_step",
    "buffer_pool",
    "sync_free_sampling",
    "fused_projections",
    "folded_depth_embedding",
    "native_layers",  # on CPUs; excludes torch_compile, which takes its place elsewhere
    "native_codec",
    "native_int8",
    "torch_compile",
    "cuda_graphs",
    "hybrid_precision",
    "int8",
)


@dataclass(frozen=True)
class ArmPlan:
    """An arm: the ``switches`` that are on, and the arm ``against`` which it tells its switch.

    ``removes`` says that the arm lacks the switch, and its ``against`` has it.
    """

    name: str
    switch: str
    switches: tuple[str, ...]
    against: str
    removes: bool = False


@dataclass(frozen=True)
class Comparison:
    """One study: every arm by the same workload and metric, in the same rounds."""

    name: str
    workload: Workload
    metric: str
    baseline: str
    baseline_switches: tuple[str, ...]
    arms: tuple[ArmPlan, ...]


@dataclass(frozen=True)
class DesignPlan:
    """All comparisons, and for each switch that can't be measured the reason."""

    comparisons: tuple[Comparison, ...]
    left_out: dict[str, str] = field(default_factory=dict)


def design(settings: AblationSettings, site: Site) -> DesignPlan:
    """The comparisons of ``settings`` at ``site``.

    Raises InputError for unknown switches, and where ``base`` itself can't be used.
    """
    wanted = _wanted(settings)
    for choice in ordered(settings.base):
        reason = choice.unsupported(site)
        if reason:
            raise InputError(f"base: {choice} can't be used here: {reason}", "leave it out")
    make = {
        "one-at-a-time": _one_at_a_time,
        "ladder": _ladder,
        "leave-one-out": _leave_one_out,
    }[settings.design]
    return make(wanted, settings.base, site)


def name_of(switches: Sequence[str]) -> str:
    """The name of an arm by its switches."""
    return " + ".join(switches) or PLAIN


def _wanted(settings: AblationSettings) -> list[str]:
    if settings.optimizations == ALL:
        everything: dict[Design, tuple[str, ...]] = {"one-at-a-time": NAMES}
        names = everything.get(settings.design, LADDER)
        return [name for name in names if name not in settings.base]
    chosen = [str(choose(name)) for name in settings.optimizations]
    twice = sorted({name for name in chosen if chosen.count(name) > 1})
    if twice:
        raise InputError(f"{', '.join(twice)} given twice", "give each switch once")
    if not chosen:
        raise InputError("an ablation of no optimization", f"name some, or use {ALL!r}")
    return chosen


def _one_at_a_time(wanted: Sequence[str], base: Sequence[str], site: Site) -> DesignPlan:
    """Each switch against what it requires and nothing else."""
    left_out: dict[str, str] = {}
    groups: dict[tuple[tuple[str, ...], Workload, str], list[ArmPlan]] = {}
    for name in wanted:
        choice = choose(name)
        needed = _union(base, closure(name))
        reason = _unusable(choice, needed, site)
        if reason:
            left_out[name] = reason
            continue
        key = (needed, choice.switch.workload, choice.switch.metric)
        arm = ArmPlan(name, name, _union(needed, (name,)), name_of(needed))
        groups.setdefault(key, []).append(arm)
    comparisons = [
        Comparison(_slug(needed, workload, metric), workload, metric, name_of(needed), needed,
                   tuple(arms))
        for (needed, workload, metric), arms in groups.items()
    ]  # fmt: skip
    return DesignPlan(tuple(comparisons), left_out)


def _ladder(wanted: Sequence[str], base: Sequence[str], site: Site) -> DesignPlan:
    """Rung by rung in the order given, each against the one before it."""
    left_out: dict[str, str] = {}
    on = tuple(base)
    arms: list[ArmPlan] = []
    below = name_of(on)
    for name in wanted:
        choice = choose(name)
        reason = _unusable(choice, on, site) or _missing(choice, on) or _elsewhere(choice)
        if reason:
            left_out[name] = reason
            continue
        on = _union(on, (name,))
        arms.append(ArmPlan(f"+ {name}", name, on, below))
        below = f"+ {name}"
    return _one_comparison("ladder", tuple(base), arms, left_out)


def _leave_one_out(wanted: Sequence[str], base: Sequence[str], site: Site) -> DesignPlan:
    """Everything, then everything but one, and but what can't do without that one."""
    left_out: dict[str, str] = {}
    everything = tuple(base)
    for name in wanted:
        choice = choose(name)
        reason = _unusable(choice, everything, site) or _missing(choice, everything)
        reason = reason or _elsewhere(choice)
        if reason:
            left_out[name] = reason
        else:
            everything = _union(everything, (name,))
    arms = []
    for name in everything:
        if name in base:
            continue
        rest = tuple(one for one in everything if one != name and not _needs(one, name))
        arms.append(ArmPlan(f"without {name}", name, rest, name_of(everything), removes=True))
    return _one_comparison("leave-one-out", everything, arms, left_out)


def _one_comparison(
    name: str, baseline: tuple[str, ...], arms: Sequence[ArmPlan], left_out: dict[str, str]
) -> DesignPlan:
    if not arms:
        return DesignPlan((), left_out)
    made = Comparison(name, "speech", "frame_ms", name_of(baseline), baseline, tuple(arms))
    return DesignPlan((made,), left_out)


def _unusable(choice: Choice, others: Sequence[str], site: Site) -> str:
    """Why a switch can't be on at ``site`` beside ``others``; often empty."""
    reason = choice.unsupported(site)
    names = [other.partition("=")[0] for other in others]
    if choice.switch.name in names:
        return "it is on in the baseline already"
    if not reason and choice.switch.part_of in names:
        return f"it is part of {choice.switch.part_of}, which is on"
    for other in names:
        found = switch(other)
        if not reason:
            reason = choose(other).unsupported(site)
        if other in choice.switch.conflicts or choice.switch.name in found.conflicts:
            return f"it and {other} exclude each other"
    return reason


def _missing(choice: Choice, on: Sequence[str]) -> str:
    names = [other.partition("=")[0] for other in on]
    lacking = [need for need in choice.switch.requires if need not in names]
    return f"it needs {', '.join(lacking)}" if lacking else ""


def _elsewhere(choice: Choice) -> str:
    found = choice.switch
    if found.workload != "speech":
        return f"its effect shows in another workload ({found.workload}): measure it one at a time"
    return ""


def _needs(one: str, name: str) -> bool:
    return name.partition("=")[0] in closure(one)


def _union(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    """Both in the registry's order, each once."""
    return tuple(map(str, ordered([*first, *(name for name in second if name not in first)])))


def _slug(needed: Sequence[str], workload: str, metric: str) -> str:
    over = "-".join(name.replace("=", "-") for name in needed) or PLAIN
    return f"{workload}-{metric.removesuffix('_ms')}-over-{over}".replace("_", "-")
