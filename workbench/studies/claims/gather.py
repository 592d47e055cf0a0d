"""Evidence by switches or probe: looked up in what was measured, with a reason where it wasn't."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from workbench.studies.ablation.run import Ablation
from workbench.studies.claims.evidence import Evidence, Missing, Pair
from workbench.studies.claims.ledger import Claim
from workbench.studies.claims.ways import NEEDS, Way, way_of

_UNMEASURED = Missing("not measured in this run")


@dataclass
class Gathered:
    """What was measured: by switch, by set of switches (joined with " + "), and by probe."""

    by_switch: dict[str, Evidence] = field(default_factory=dict)
    by_probe: dict[str, Evidence] = field(default_factory=dict)

    def add(self, found: Mapping[str, Evidence]) -> None:
        """Takes in ``found`` where there is nothing better: what came first counts."""
        for name, evidence in found.items():
            known = self.by_switch.get(name)
            if known is None or (isinstance(known, Missing) and not isinstance(evidence, Missing)):
                self.by_switch[name] = evidence

    def of(self, claim: Claim) -> Evidence:
        """The evidence for ``claim``, or why there is none."""
        way = way_of(claim)
        if way.gap:
            return Missing(way.gap)
        reason = NEEDS[way.needs]
        found = self._found(way)
        if not reason:
            return found
        return Missing(reason, None if isinstance(found, Missing) else found)

    def _found(self, way: Way) -> Evidence:
        if way.probe:
            return self.by_probe.get(way.probe, _UNMEASURED)
        found = self.by_switch.get(set_name(way.switches), _UNMEASURED)
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


def _plain(name: str) -> str:
    return name.partition("=")[0]
