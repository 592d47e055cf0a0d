"""Answers all claims: takes what was measured before, measures the rest, and judges.

answers = answer_claims(claims_settings({"trials": 40}, "mine"), folder)
for answer in answers.all: print(answer.claim.id, answer.standing, answer.reason)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from workbench.errors import InputError
from workbench.optimizations import NAMES, Site
from workbench.studies.ablation import defaults
from workbench.studies.ablation.run import run_ablation
from workbench.studies.ablation.settings import AblationSettings, settings_from
from workbench.studies.claims import facts, hearing
from workbench.studies.claims.answers import Answer, answer
from workbench.studies.claims.counted import read_fact, write_fact
from workbench.studies.claims.evidence import Evidence, Missing
from workbench.studies.claims.gather import Gathered, from_ablation, set_name
from workbench.studies.claims.ledger import Claim, read_claims
from workbench.studies.claims.ledger import chosen as chosen_claims
from workbench.studies.claims.probes import GPU_PROBES, LENGTHS, PROBES, measure_probe
from workbench.studies.claims.sets import measure_sets, useless
from workbench.studies.claims.sources import take_in
from workbench.studies.claims.ways import way_of
from workbench.studies.claims.written import Answers, write_answers

Progress = Callable[[str], None]
Value = TypeVar("Value", str, tuple[str, ...])

# One more than an ablation has: the claim about batches is of three texts.
TEXTS = (*defaults.TEXTS, "my brother likes the small white horse")
_NOTHING = Missing("")


def claims_settings(fields: Mapping[str, Any], where: str) -> AblationSettings:
    """Settings of the measurements; InputError that names ``where`` and the field at fault."""
    return settings_from({"texts": TEXTS, **fields}, where)


def answer_claims(
    settings: AblationSettings,
    folder: Path | str,
    *,
    sources: Sequence[Path | str] = (),
    ids: Sequence[str] = (),
    measure: bool = True,
    progress: Progress = lambda words: None,
) -> Answers:
    """Answers the claims called ``ids`` (default: all of the ledger) and writes them to ``folder``.

    ``sources`` are folders of ablations, of what other commands and notebooks recorded, or of
    earlier answers; what they hold is used before anything is measured, without ``measure`` alone.
    ``settings`` are those of the measurements; their design and optimizations have no meaning
    here. What is measured lies below ``folder``, by settings, and a second run goes on where the
    first one ended.

    Raises InputError for unknown ids and for a source that holds no measurements.
    """
    folder = Path(folder)
    claims = chosen_claims(read_claims(), tuple(ids))
    gathered = Gathered()
    for source in sources:
        take_in(gathered, Path(source))
    if measure:
        _measure(gathered, claims, settings, folder, progress)
    answers = Answers(tuple(_answered(claim, gathered) for claim in claims), folder)
    write_answers(answers)
    return answers


def site_of_settings(settings: AblationSettings) -> Site:
    """Where the engine of ``settings`` runs; InputError for an unknown device."""
    import torch

    from workbench.optimizations.site import site_of

    name = settings.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return site_of(torch.device(name))
    except RuntimeError as problem:
        raise InputError(f"no device called {name!r}", "use 'cpu' or 'cuda'") from problem


def _answered(claim: Claim, gathered: Gathered) -> Answer:
    way = way_of(claim)
    found = gathered.of(claim)
    return answer(claim, found, metric=way.metric, sound=way.sound, part=way.part)


# -- Measuring what is missing -----------------------------------------------------------------


def _measure(
    gathered: Gathered,
    claims: Sequence[Claim],
    settings: AblationSettings,
    folder: Path,
    progress: Progress,
) -> None:
    site = site_of_settings(settings)
    folder = folder / ablation_settings(settings, ()).slug
    wanted = [way.switches for way in map(way_of, claims) if way.switches and not way.gap]
    missing = [names for names in _unique(wanted) if _open(gathered, names)]
    for names in missing:
        if none := useless(names, settings.engine):
            reason = f"{settings.engine} has no use for {', '.join(none)}"
            gathered.add({set_name(names): Missing(reason)})
    missing = [names for names in missing if _open(gathered, names)]
    single = [names[0] for names in missing if len(names) == 1 and names[0] in NAMES]
    if single:
        asked = ablation_settings(settings, single)
        ablation = run_ablation(asked, folder / asked.slug, progress)
        gathered.add(from_ablation(ablation))
    several = [names for names in missing if len(names) > 1 or names[0] not in NAMES]
    if several:
        progress("sets of switches")
        gathered.add(measure_sets(several, settings, site, folder, progress))
    for name in _unique(way_of(claim).probe for claim in claims):
        if name and isinstance(gathered.by_probe.get(name, _NOTHING), Missing):
            progress(f"probe: {name}")
            gathered.add_probes({name: _probe(name, settings, site, folder, progress)})


def ablation_settings(settings: AblationSettings, names: Sequence[str]) -> AblationSettings:
    """``settings`` for an ablation of ``names``, one at a time, in the registry's order."""
    known = [name for name in NAMES if name in names]
    return settings.model_copy(
        update={"design": "one-at-a-time", "optimizations": tuple(known), "base": ()}
    )


def _probe(
    name: str, settings: AblationSettings, site: Site, folder: Path, progress: Progress
) -> Evidence:
    if name in GPU_PROBES or name == LENGTHS:
        return measure_probe(name, settings, site, folder / PROBES / name, progress)
    if name in hearing.RECOGNIZERS:
        return hearing.measure_recognizer(name, settings, site, folder / PROBES / name, progress)
    counted: dict[str, Callable[[], Evidence]] = {
        "vad_frame": hearing.vad_frame,
        "turn_cost": hearing.turn_cost,
        "turn_gain": hearing.turn_gain,
        "stft_half": lambda: facts.stft_half(site),
        "allocations": lambda: facts.allocations(settings, site),
    }
    path = folder / PROBES / f"{name}.json"
    if path.is_file():
        return read_fact(path)
    found = _counted(counted[name])
    write_fact(path, found)
    return found


def _counted(count: Callable[[], Evidence]) -> Evidence:
    """What ``count`` finds; where it can't, that is the reason, and the other claims go on."""
    try:
        return count()
    except Exception as problem:
        first = str(problem).splitlines() or [""]
        return Missing(f"counting failed, {type(problem).__name__}: {first[0]}")


def _open(gathered: Gathered, names: Sequence[str]) -> bool:
    return set_name(names) not in gathered.by_switch


def _unique(values: Iterable[Value]) -> list[Value]:
    return list(dict.fromkeys(values))
