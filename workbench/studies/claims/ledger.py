"""The ledger of claims, ``data/claims.yaml``: typed, and refused where it is not right.

for claim in read_claims(): print(claim.id, claim.says)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from workbench.errors import InputError
from workbench.paths import data_dir

FILE = "claims.yaml"

Metric = Literal[
    "speedup",
    "saving",
    "memory_ratio",
    "ms_saved",
    "ttfa_saving",
    "first_call_saving",
    "variance_saving",
    "false_turn_saving",
    "bandwidth_saving",
    "wer_increase",
    "allocations",
    "fails",
    "gpu_utilization",
    "ttfa_ms",
    "ms",
    "seconds",
    "chars_per_s",
]


class Claim(BaseModel):
    """One claim. ``expected`` is (low, high) in the unit of ``metric``; ``says`` quotes it.

    ``optimization`` is a switch, several at once, ``all``, or a name that the workbench has no
    switch for. ``hardware`` is the GPU it was measured on, where the source names one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)+$")
    system: str = Field(min_length=1)
    optimization: str | tuple[str, ...]
    stage: str = Field(min_length=1)
    metric: Metric
    expected: tuple[float, float]
    says: str = Field(min_length=1)
    hardware: str | None = None

    @field_validator("expected")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] <= value[1] < float("inf"):
            raise ValueError("must be [low, high] with 0 <= low <= high")
        return value

    @property
    def names(self) -> tuple[str, ...]:
        """The optimizations it speaks of."""
        one = isinstance(self.optimization, str)
        return (self.optimization,) if one else tuple(self.optimization)  # type: ignore[return-value]


def read_claims(path: Path | str | None = None) -> tuple[Claim, ...]:
    """All claims of the ledger at ``path`` (default: the shipped one), in its order.

    Raises InputError that names the file, the entry and what is wrong with it.
    """
    import yaml

    path = data_dir() / FILE if path is None else Path(path)
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise InputError(
            f"can't read the ledger {path}: {problem.strerror}", "restore data/claims.yaml"
        ) from problem
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise InputError(
            f"the ledger {path} is not YAML: {' '.join(str(problem).split())}", "correct it"
        ) from problem
    if not isinstance(entries, list) or not entries:
        raise InputError(f"the ledger {path} holds no list of claims", "restore data/claims.yaml")
    claims = tuple(_claim(entry, f"{path}, entry {n}") for n, entry in enumerate(entries, start=1))
    ids = [claim.id for claim in claims]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise InputError(f"the ledger {path} has {', '.join(twice)} twice", "give each an id")
    return claims


def chosen(claims: tuple[Claim, ...], ids: tuple[str, ...]) -> tuple[Claim, ...]:
    """The claims called ``ids``, all where there are none; InputError for unknown ones."""
    known = [claim.id for claim in claims]
    unknown = [one for one in ids if one not in known]
    if unknown:
        from difflib import get_close_matches

        near = [name for one in unknown for name in get_close_matches(one, known, n=2)]
        raise InputError(
            f"no claim called {', '.join(unknown)}",
            f"use {', '.join(near)}" if near else "see data/claims.yaml for the ids",
        )
    return tuple(claim for claim in claims if not ids or claim.id in ids)


def _claim(entry: Any, where: str) -> Claim:
    if not isinstance(entry, dict):
        raise InputError(f"{where} is no claim: {str(entry)[:60]!r}", "write it as {id: …, …}")
    try:
        return Claim(**entry)
    except (ValidationError, TypeError) as problem:
        wrong = (
            "; ".join(
                f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}"
                for error in problem.errors()
            )
            if isinstance(problem, ValidationError)
            else str(problem)
        )
        name = f" ({entry['id']})" if "id" in entry else ""
        known = ", ".join(Claim.model_fields)
        raise InputError(f"{where}{name}: {wrong}", f"the fields are: {known}") from problem
