"""Evidence by switches, probe or record: looked up in what was measured, else with a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from workbench.studies.ablation.run import Ablation
from workbench.studies.claims.evidence import Evidence, Missing, Pair, engine_of
from workbench.studies.claims.ledger import Claim
from workbench.studies.claims.ways import NEEDS, Way, way_of

_UNMEASURED = Missing("not measured in this run")
_COMMAND = "not measured in this run: `{}` does, and `--from` its folder answers"


@dataclass
class Gathered:
    """What was measured: by switch, by set of switches (joined with " + "), and by probe.

    What is of an engine that claims are about (a key of ``NEEDS``) is also kept under its name.
    """

    by_switch: dict[str, Evidence] = field(default_factory=dict)
    by_probe: dict[str, Evidence] = field(default_factory=dict)

    def add(self, found: Mapping[str, Evidence]) -> None:
        """Takes in what switches did, where there is nothing better: what came first counts."""
        _keep(self.by_switch, found)

    def add_probes(self, found: Mapping[str, Evidence]) -> None:
        """The same for probes and for what records say."""
        _keep(self.by_probe, found)

    def of(self, claim: Claim) -> Evidence:
        """The evidence for ``claim``, or why there is none."""
        way = way_of(claim)
        if way.gap:
            return Missing(way.gap)
        reason = NEEDS[way.needs]
        found = self._found(way)
        if not reason or engine_of(found) == way.needs:
            return found
        return Missing(reason, found.instead if isinstance(found, Missing) else found)

    def _found(self, way: Way) -> Evidence:
        name = way.probe or way.record
        measured = _of_engine(self.by_probe, way.needs, name) if name else None
        if measured is not None:
            return measured
        if not way.switches:
            return Missing(_COMMAND.format(way.command)) if way.command else _UNMEASURED
        found = _of_engine(self.by_switch, way.needs, set_name(way.switches)) or _UNMEASURED
        spoken = len(found.result.arm.kwargs.get("texts", "")) if isinstance(found, Pair) else 0
        if way.texts > 1 and isinstance(found, Pair) and spoken < way.texts:
            return Missing(f"measured with {spoken} texts, and the claim is about {way.texts}")
        return found


def set_name(switches: Sequence[str]) -> str:
    """The name of a set of switches, whichever order they are given in."""
    return " + ".join(sorted(switches))


def from_ablation(ablation: Ablation) -> dict[str, Evidence]:
    """The evidence that an ablation gives, by switch."""
    found: dict[str, Evidence] = {
        _plain(name): Missing(f"{name}: {reason}")
        for name, reason in ablation.plan.left_out.items()
    }
    for comparison in ablation.plan.comparisons:
        study = ablation.studies.get(comparison.name)
        for arm in comparison.arms:
            name = _plain(arm.switch)
            if study is None:
                found.setdefault(name, Missing(f"{name}: its study wasn't reached"))
                continue
            arms = (arm.against, arm.name) if arm.removes else (arm.name, arm.against)
            found[name] = Pair(study, *arms, kept=ablation.row(arm.switch).kept)
    return found


def _keep(kept: dict[str, Evidence], found: Mapping[str, Evidence]) -> None:
    for name, evidence in found.items():
        engine = engine_of(evidence)
        for key in (name, f"{engine}: {name}") if NEEDS.get(engine) else (name,):
            known = kept.get(key)
            if known is None or _worth(known) < _worth(evidence):
                kept[key] = evidence


def _worth(evidence: Evidence) -> int:
    """Measured is better than told beside a reason, and that better than a reason alone."""
    if isinstance(evidence, Missing):
        return int(evidence.instead is not None)
    return 2


def _of_engine(kept: Mapping[str, Evidence], engine: str, name: str) -> Evidence | None:
    """What is kept as ``name``: rather that of ``engine`` than another's."""
    return kept.get(f"{engine}: {name}") or kept.get(name)


def _plain(name: str) -> str:
    return name.partition("=")[0]
