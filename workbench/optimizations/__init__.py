"""Optimizations: each a named, reversible switch with a promise about the sound."""

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.presets import DEFAULT, PRESETS, preset
from workbench.optimizations.registry import (
    NAMES,
    all_switches,
    applied,
    closure,
    ordered,
    resolve,
    switch,
)
from workbench.optimizations.switch import Contract, Promise, Site, Switch

__all__ = [
    "DEFAULT",
    "NAMES",
    "PRESETS",
    "Contract",
    "EngineOptions",
    "Promise",
    "Site",
    "Switch",
    "all_switches",
    "applied",
    "closure",
    "ordered",
    "preset",
    "resolve",
    "switch",
]
