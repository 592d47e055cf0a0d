"""Runs an ablation: its studies one after another, then the check of every arm's sound.

    ablation = run_ablation(AblationSettings(optimizations=("fused_projections",)), folder)
    for row in ablation.rows: print(row)

Each study is written when it is done, and a second run on the same folder goes on where the first
one ended. What is written is read back by `read_ablation`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench.errors import InputError, RecordError
from workbench.files import write_json
from workbench.measure.arm import Arm
from workbench.measure.plan import Plan
from workbench.measure.study import Study
from workbench.measure.study_record import STUDY_FILE, read_study, write_study
from workbench.measure.trials import StudyInterrupted, run_study
from workbench.measure.workloads import arm_for
from workbench.optimizations import Site
from workbench.optimizations.site import site_of
from workbench.studies.ablation.designs import ArmPlan, Comparison, DesignPlan, design, name_of
from workbench.studies.ablation.result import (
    FILE,
    SCHEMA_VERSION,
    Ablation,
    check_path,
    clip_path,
    contract_of,
)
from workbench.studies.ablation.settings import AblationSettings, settings_from
from workbench.studies.sound.check import (
    SoundCheck,
    Transcripts,
    check_sound,
    held_out,
    listen,
    pair,
)

Progress = Callable[[str], None]


def run_ablation(
    settings: AblationSettings, folder: Path | str, progress: Progress = lambda words: None
) -> Ablation:
    """Measures what ``settings`` ask for and writes it into ``folder``.

    Raises InputError for settings that make no study and for a folder that holds another
    ablation; what an arm does wrong ends that arm only. Ctrl-C keeps the studies that are done.
    """
    folder = Path(folder)
    plan = design(settings, _site(settings))
    _claim(folder, settings, plan)
    studies: dict[str, Study] = {}
    for number, comparison in enumerate(plan.comparisons, start=1):
        where = f"study {number} of {len(plan.comparisons)}, {comparison.name}"
        studies[comparison.name] = _study(settings, comparison, folder, _prefixed(progress, where))
    sounds = dict(_sounds(settings, plan, folder, progress))
    return Ablation(settings, plan, studies, sounds, folder)


def read_ablation(folder: Path | str) -> Ablation:
    """The ablation written in ``folder``, as far as it got.

    Raises RecordError where there is none, or where a file of it is torn.
    """
    folder = Path(folder)
    kept = _read(folder)
    settings = settings_from(kept["settings"], str(folder / FILE))
    plan = DesignPlan(
        tuple(_comparison(entry) for entry in kept["comparisons"]), dict(kept["left_out"])
    )
    studies = {
        comparison.name: read_study(folder / comparison.name)
        for comparison in plan.comparisons
        if (folder / comparison.name / STUDY_FILE).is_file()
    }
    sounds = dict(_heard(plan, folder))
    return Ablation(settings, plan, studies, sounds, folder)


def _site(settings: AblationSettings) -> Site:
    import torch

    name = settings.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return site_of(torch.device(name))
    except RuntimeError as problem:
        raise InputError(f"no device called {name!r}", "use 'cpu' or 'cuda'") from problem


# -- The folder --------------------------------------------------------------------------------


def _claim(folder: Path, settings: AblationSettings, plan: DesignPlan) -> None:
    """Writes the plan into ``folder``, or finds the same one there."""
    asked = settings.model_dump(mode="json")
    if (folder / FILE).is_file():
        if _read(folder)["settings"] != asked:
            raise InputError(
                f"{folder} holds an ablation with other settings", "choose another folder"
            )
        return
    write_json(
        folder / FILE,
        {
            "schema_version": SCHEMA_VERSION,
            "settings": asked,
            "comparisons": [asdict(comparison) for comparison in plan.comparisons],
            "left_out": plan.left_out,
        },
    )


def _read(folder: Path) -> dict[str, Any]:
    path = folder / FILE
    if not path.is_file():
        raise RecordError(f"no ablation in {folder}", "run `workbench ablate --out` on it first")
    try:
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise RecordError(f"{path} is torn: {problem}", "delete it and measure again") from problem
    if kept.get("schema_version") != SCHEMA_VERSION:
        raise RecordError(
            f"{path} has schema version {kept.get('schema_version')}, not {SCHEMA_VERSION}",
            "measure again with this version",
        )
    return kept


def _comparison(entry: dict[str, Any]) -> Comparison:
    arms = tuple(ArmPlan(**{**arm, "switches": tuple(arm["switches"])}) for arm in entry["arms"])
    switches = tuple(entry["baseline_switches"])
    return Comparison(**{**entry, "arms": arms, "baseline_switches": switches})


# -- Speed -------------------------------------------------------------------------------------


def _study(
    settings: AblationSettings, comparison: Comparison, folder: Path, progress: Progress
) -> Study:
    """The study of ``comparison``: read where it was finished before, else measured and written.

    What an interrupted study measured is kept beside it, in a folder of its own.
    """
    target = folder / comparison.name
    if (target / STUDY_FILE).is_file():
        return read_study(target)
    try:
        made = run_study(
            comparison.name,
            _arm(settings, comparison, comparison.baseline, comparison.baseline_switches),
            [_arm(settings, comparison, arm.name, arm.switches) for arm in comparison.arms],
            metric=comparison.metric,
            plan=_plan(settings),
            progress=progress,
        )
    except StudyInterrupted as stop:
        write_study(folder / f"{comparison.name}-interrupted", stop.study)
        raise
    write_study(target, made)
    return made


def _plan(settings: AblationSettings) -> Plan:
    return Plan(
        trials=settings.trials,
        seconds=settings.seconds,
        threshold=settings.threshold,
        seed=settings.seed,
        starts=settings.starts,
        passes=settings.passes,
    )


def _arm(
    settings: AblationSettings, comparison: Comparison, name: str, switches: tuple[str, ...]
) -> Arm:
    more: dict[str, Any] = {"voice": settings.voice}
    if comparison.workload == "speech":
        more["max_frames"] = settings.max_frames
    return arm_for(
        comparison.workload,
        name,
        settings.engine,
        settings.texts,
        load=settings.load(switches),
        **more,
    )


def _prefixed(progress: Progress, where: str) -> Progress:
    return lambda words: progress(f"{where}: {words}")


# -- Sound -------------------------------------------------------------------------------------


def _sounds(
    settings: AblationSettings, plan: DesignPlan, folder: Path, progress: Progress
) -> Iterator[tuple[str, SoundCheck]]:
    """The check of every arm against the one it is measured against: read, or made and written."""
    yield from _heard(plan, folder)
    waiting = [
        (arm, _switches_of(comparison, arm.against))
        for comparison in plan.comparisons
        for arm in comparison.arms
        if not check_path(folder, arm.name).is_file()
    ]
    if not waiting or not settings.sentences:
        return
    wanted = {switches for arm, against in waiting for switches in (arm.switches, against)}
    arms = {switches: _speaker(settings, switches) for switches in sorted(wanted)}
    texts = held_out(settings.sentences, settings.seed)
    clips = listen(list(arms.values()), texts, progress=_prefixed(progress, "listening"))
    transcripts = Transcripts()
    for arm, against in waiting:
        before, after = clips[name_of(against)], clips[name_of(arm.switches)]
        if arm.removes:
            before, after = after, before
        check = check_sound(before, after, contract_of(arm), transcripts)
        progress(f"sound of {arm.name}: {check.sentence}")
        both = pair(before, after)
        if both is not None:
            both.before.write(clip_path(folder, arm.name, "before"))
            both.after.write(clip_path(folder, arm.name, "after"))
        write_json(check_path(folder, arm.name), check.to_dict())
        yield arm.name, check


def _heard(plan: DesignPlan, folder: Path) -> Iterator[tuple[str, SoundCheck]]:
    """The checks that are written already."""
    for comparison in plan.comparisons:
        for arm in comparison.arms:
            path = check_path(folder, arm.name)
            if path.is_file():
                try:
                    yield arm.name, SoundCheck.from_dict(json.loads(path.read_text("utf-8")))
                except ValueError as problem:
                    raise RecordError(f"{path} is torn: {problem}", "delete it") from problem


def _switches_of(comparison: Comparison, name: str) -> tuple[str, ...]:
    for arm in comparison.arms:
        if arm.name == name:
            return arm.switches
    return comparison.baseline_switches


def _speaker(settings: AblationSettings, switches: tuple[str, ...]) -> Arm:
    return arm_for(
        "speech",
        name_of(switches),
        settings.engine,
        settings.texts,
        load=settings.load(switches),
        voice=settings.voice,
        max_frames=settings.max_frames,
    )
