"""Where evidence comes from without measuring: the folders that other runs wrote."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import InputError
from workbench.measure.study_record import STUDY_FILE, read_study
from workbench.studies.ablation.result import FILE as ABLATION_FILE
from workbench.studies.ablation.run import read_ablation
from workbench.studies.claims.counted import read_facts
from workbench.studies.claims.gather import Gathered, from_ablation
from workbench.studies.claims.probes import PROBES, read_probe
from workbench.studies.claims.records import from_study, read_records
from workbench.studies.claims.sets import SETS, read_sets


def take_in(gathered: Gathered, source: Path) -> None:
    """Every ablation, set, probe, study and record in ``source`` or below it, by path.

    Raises InputError where there is none, RecordError for one that can't be used.
    """
    found = 0
    for path in sorted(source.rglob(ABLATION_FILE)):
        gathered.add(from_ablation(read_ablation(path.parent)))
        found += 1
    for path in sorted(source.rglob(STUDY_FILE)):
        found += _study(gathered, path.parent)
    for folder in (source, *sorted(source.rglob(PROBES))):
        if folder.name == PROBES and folder.is_dir():
            facts = read_facts(folder)
            gathered.add_probes(facts)
            found += len(facts)
    for said in read_records(source):
        gathered.add_probes(said)
        found += 1
    if not found:
        raise InputError(
            f"no measurements in {source}",
            "give a folder that `workbench ablate`, `converse --compare` or a bench wrote by "
            "--out, or a notebook's; what --json prints has no raw samples",
        )


def _study(gathered: Gathered, folder: Path) -> bool:
    """Takes in the study in ``folder``; whether it was one that claims are about."""
    if (folder.parent / ABLATION_FILE).is_file():
        return False  # the ablation has it
    if folder.name.startswith(SETS):
        gathered.add(read_sets(folder))
        return True
    if folder.parent.name == PROBES:
        gathered.add_probes({folder.name: read_probe(folder)})
        return True
    said = from_study(read_study(folder))
    gathered.add_probes(said)
    return bool(said)
