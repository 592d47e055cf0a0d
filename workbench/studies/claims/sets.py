"""Several switches at once against none of them: quick wins, the recommended preset."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from workbench.engines.guests.load import is_guest
from workbench.errors import InputError
from workbench.measure.arm import Arm
from workbench.measure.plan import Plan
from workbench.measure.study import Study
from workbench.measure.study_record import STUDY_FILE, read_study, write_study
from workbench.measure.trials import run_study
from workbench.measure.workloads import arm_for
from workbench.optimizations import DEFAULT, NAMES, Site, closure, preset
from workbench.optimizations.registry import choose, ordered
from workbench.studies.ablation.defaults import ENGINE
from workbench.studies.ablation.designs import PLAIN
from workbench.studies.ablation.settings import AblationSettings
from workbench.studies.claims.evidence import Evidence, Missing, Pair
from workbench.studies.claims.gather import set_name

METRIC = "frame_ms"
SETS = "sets"  # the beginning of the name of a folder with their study
_PRESETS = {"all": (), "all_but_compile": ("torch_compile", "cuda_graphs", "prefill_buckets")}


def switches_of(
    names: Sequence[str], site: Site, engine: str = ENGINE
) -> tuple[str, ...] | Missing:
    """The switches that the set ``names`` turns on at ``site``, with what they require.

    ``all`` is the preset that ``load`` takes by default, of a guest ``engine`` what applies to it;
    ``all_but_compile`` the same without what compiles or captures.
    """
    if len(names) == 1 and names[0] in _PRESETS:
        chosen, _ = preset(DEFAULT, site)
        plain = [(name, name.partition("=")[0]) for name in chosen]
        without = _PRESETS[names[0]]
        return tuple(n for n, one in plain if one not in without and not useless([one], engine))
    wanted = {need for name in names for need in (*closure(name), name)}
    found = tuple(name for name in NAMES if name in wanted)
    for name in found:
        reason = choose(name).unsupported(site)
        if reason:
            return Missing(f"{name}: {reason}")
    try:
        ordered(found)
    except InputError as problem:
        return Missing(problem.what)
    return found


def useless(names: Sequence[str], engine: str) -> list[str]:
    """Those of ``names`` that ``engine`` has no use for: often a guest's, never ours."""
    if not is_guest(engine):
        return []
    from workbench.engines.guests.torch_guest import EVERYWHERE

    return [name for name in names if name not in (*EVERYWHERE, *_PRESETS)]


def measure_sets(
    sets: Sequence[Sequence[str]],
    settings: AblationSettings,
    site: Site,
    folder: Path,
    progress: Callable[[str], None],
) -> dict[str, Evidence]:
    """Each of ``sets`` against an engine without any switch, in one study below ``folder``.

    A study of these sets that is there already is read instead.
    """
    found: dict[str, Evidence] = {}
    arms: dict[str, tuple[str, ...]] = {}
    for names in sets:
        switches = switches_of(names, site, settings.engine)
        if isinstance(switches, Missing):
            found[set_name(names)] = switches
        else:
            arms[set_name(names)] = switches
    if not arms:
        return found
    digest = hashlib.sha256(repr(sorted(arms.items())).encode()).hexdigest()
    study = read_or_run(
        folder / f"{SETS}-{digest[:8]}",
        lambda: run_study(
            "sets of switches",
            _arm(settings, PLAIN, ()),
            [_arm(settings, name, switches) for name, switches in arms.items()],
            metric=METRIC,
            plan=plan_of(settings),
            progress=progress,
        ),
    )
    return found | {name: Pair(study, name, PLAIN) for name in arms if name in study.results}


def read_or_run(folder: Path, run: Callable[[], Study]) -> Study:
    """The study in ``folder``, or else the one that ``run`` makes, which is written there."""
    if (folder / STUDY_FILE).is_file():
        return read_study(folder)
    study = run()
    write_study(folder, study)
    return study


def read_sets(folder: Path) -> dict[str, Evidence]:
    """What ``measure_sets`` wrote to ``folder``."""
    study = read_study(folder)
    return {name: Pair(study, name, PLAIN) for name in study.others[1:]}


def plan_of(settings: AblationSettings) -> Plan:
    """The plan of a study with ``settings``."""
    return Plan(
        trials=settings.trials,
        starts=settings.starts,
        seconds=settings.seconds,
        threshold=settings.threshold,
        seed=settings.seed,
    )


def _arm(settings: AblationSettings, name: str, switches: tuple[str, ...]) -> Arm:
    return arm_for(
        "speech",
        name,
        settings.engine,
        settings.texts,
        load=settings.load(switches),
        voice=settings.voice,
        max_frames=settings.max_frames,
    )
