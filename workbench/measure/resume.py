"""A study that is kept while it runs, and goes on where it was cut off.

    study = kept_study(folder, "conversation", baseline, arms, metric="first_audio_ms", plan=plan)

Every round is written as it ends, into one file that is renamed into its place (CHECKPOINT). The
next call with the same folder, arms and plan runs what is missing; a folder whose study is whole
is read. Rounds that ran later have processes of their own, as every start of a study has.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from workbench.errors import InputError
from workbench.hardware.fingerprint import fingerprint, label
from workbench.measure.arm import Arm
from workbench.measure.comparison import machine, software_changes
from workbench.measure.plan import Plan
from workbench.measure.record import portable
from workbench.measure.study import CONTROL, INTERRUPTED, Study
from workbench.measure.study_record import (
    STUDY_FILE,
    read_checkpoint,
    read_study,
    write_checkpoint,
    write_study,
)
from workbench.measure.trials import Progress, StudyInterrupted, run_study
from workbench.measure.watch import Limits

CHECKPOINT = "checkpoint.json"


def kept_study(
    folder: Path | str,
    name: str,
    baseline: Arm,
    arms: Sequence[Arm] = (),
    *,
    metric: str,
    plan: Plan | None = None,
    limits: Limits | None = None,
    progress: Progress = lambda words: None,
) -> Study:
    """`run_study` with its records in ``folder``: begun, gone on with, or read if it is whole.

    Ctrl-C writes the records of what was measured and raises StudyInterrupted. Raises InputError
    where the folder holds something else: another study, plan, machine or software, as one study
    doesn't mix them; RecordError for files that are torn, OutputError for a full disk at the end.
    """
    folder, plan = Path(folder), plan or Plan()
    checkpoint = folder / CHECKPOINT
    earlier = _earlier(folder)
    if earlier is not None:
        _require_same(folder, earlier, name, [baseline, *arms], metric, plan)
        rounds = len(earlier.baseline.rounds)
        if earlier.finished:
            progress(f"{folder} holds this study already: {rounds} rounds")
            return earlier
        _require_same_place(folder, earlier)
        progress(f"going on after {rounds} of {plan.trials} rounds")
    try:
        study = run_study(
            name,
            baseline,
            arms,
            metric=metric,
            plan=plan,
            limits=limits,
            progress=progress,
            checkpoint=lambda so_far: write_checkpoint(checkpoint, so_far),
            earlier=earlier,
        )
    except StudyInterrupted:
        if not checkpoint.is_file():
            raise
        # Whole rounds only: what is read here is what will be gone on with.
        whole = replace(read_checkpoint(checkpoint), stopped=INTERRUPTED)
        write_study(folder, whole)
        raise StudyInterrupted(whole) from None
    write_study(folder, study)
    checkpoint.unlink(missing_ok=True)
    return study


def _earlier(folder: Path) -> Study | None:
    """What the folder holds: the last whole round of a study, or all of it."""
    if (folder / CHECKPOINT).is_file():
        return read_checkpoint(folder / CHECKPOINT)
    if not (folder / STUDY_FILE).is_file():
        return None
    study = read_study(folder)
    if not study.finished:
        raise InputError(
            f"{folder} holds a study that was cut off, and its {CHECKPOINT} is gone",
            "choose another folder",
        )
    return study


def _require_same(
    folder: Path, earlier: Study, name: str, arms: Sequence[Arm], metric: str, plan: Plan
) -> None:
    kept = [result.arm for key, result in earlier.results.items() if key != CONTROL]
    for what, one, other in (
        ("another study", earlier.name, name),
        ("a study by another metric", earlier.metric, metric),
        ("a study with another plan", asdict(earlier.plan), asdict(plan)),
        ("a study of other arms", [asdict(arm) for arm in kept], [asdict(arm) for arm in arms]),
    ):
        if one != portable(json.loads(json.dumps(other))):
            raise InputError(f"{folder} holds {what}", "choose another folder, or ask the same")


def _require_same_place(folder: Path, earlier: Study) -> None:
    before, now = earlier.environment_before, fingerprint()
    if machine(before) != machine(now):
        raise InputError(
            f"{folder} holds a study that was begun on {label(dict(before))}",
            "go on there, or choose another folder",
        )
    if changed := software_changes(before, now):
        raise InputError(
            f"the software changed since the study in {folder} was begun: {', '.join(changed)}",
            "go back to it, or choose another folder",
        )
