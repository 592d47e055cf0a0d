"""Optimizations: each a named, reversible switch with a promise about the sound."""

from workbench.optimizations.options import EngineOptions
from workbench.optimizations.presets import DEFAULT, PRESETS, preset
from workbench.optimizations.registry import (
    NAMES,
    applied,
    closure,
    ordered,
    resolve,
    switch,
    switches,
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
    "applied",
    "closure",
    "ordered",
    "preset",
    "resolve",
    "switch",
    "switches",
]
