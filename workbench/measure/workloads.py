"""What an arm does in a trial, by name: the kinds of work in which switches show their effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.errors import InputError
from workbench.measure.arm import Arm
from workbench.optimizations.switch import Workload

TARGETS: Mapping[Workload, str] = {
    "speech": "workbench.measure.speech_arm:SpeechArm",
    "first_call": "workbench.measure.first_call_arm:FirstCallArm",
    "batch": "workbench.measure.batch_arm:BatchArm",
    "text": "workbench.measure.text_arm:TextArm",
    "transfer": "workbench.measure.transfer_arm:TransferArm",
}


def arm_for(
    workload: Workload,
    name: str,
    engine: str,
    texts: Sequence[str],
    *,
    load: Mapping[str, Any] | None = None,
    python: str | None = None,
    environment: Mapping[str, str] | None = None,
    **settings: Any,
) -> Arm:
    """The arm ``name``: ``engine``, loaded with ``load``, does ``workload`` with ``texts``.

    ``settings`` are those of the workload's class. Raises InputError for an unknown workload.
    """
    if workload not in TARGETS:
        raise InputError(f"no workload called {workload!r}", f"use {', '.join(TARGETS)}")
    kwargs = {"engine": engine, "texts": list(texts), "load": dict(load or {}), **settings}
    return Arm(name, TARGETS[workload], kwargs, python, environment or {})
