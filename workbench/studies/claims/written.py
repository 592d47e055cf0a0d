"""All answers: as a file, as a table to read, and in a sentence.

claims.json    every claim with its answer, the claimed and the measured range, and the reason
claims.md      the same as tables, one for each answer
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.errors import RecordError
from workbench.files import write_json, write_text
from workbench.measure.record import portable, utc_now
from workbench.measure.statistics import Interval
from workbench.studies.claims.answers import Answer, Standing
from workbench.studies.claims.ledger import Claim
from workbench.studies.claims.words import claimed_words, short_words

FILE, TABLE_FILE = "claims.json", "claims.md"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Answers:
    """``all`` answers in the ledger's order, and the ``folder`` they are written in."""

    all: tuple[Answer, ...]
    folder: Path

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many claims have each answer, the decided ones first."""
        found = [answer.standing for answer in self.all]
        return {str(one): found.count(one) for one in Standing}

    @property
    def by_standing(self) -> dict[Standing, list[Answer]]:
        """Answers grouped, the decided ones first; groups without any are left out."""
        groups = {
            one: [answer for answer in self.all if answer.standing is one] for one in Standing
        }
        return {one: group for one, group in groups.items() if group}

    @property
    def finding(self) -> str:
        """What was learned, in a sentence or two."""
        told = ", ".join(f"{count} {name}" for name, count in self.counts.items() if count)
        machines = sorted({str(one.on["machine"]) for one in self.all if one.on})
        where = f" on {' and '.join(machines)}" if machines else ""
        return f"Of {len(self.all)} claims{where}: {told}."

    @property
    def title(self) -> str:
        """The finding as a figure's title has it."""
        decided = len(self.all) - self.counts[str(Standing.NOT_MEASURABLE)]
        held = self.counts[str(Standing.CONFIRMED)]
        if not decided:
            return "No claim could be decided here"
        return f"{held} of the {decided} claims that could be decided here held in full"

    @property
    def caption(self) -> str:
        """Engine, machine and trials of what was measured."""
        on = [one.on for one in self.all if one.on]
        engines = ", ".join(sorted({one["engine"] for one in on if one["engine"]}))
        machines = ", ".join(sorted({one["machine"] for one in on}))
        n = [one.figure.n for one in self.all if one.figure and one.figure.n > 1]
        trials = _from_to(min(n), max(n)) if n else ""
        return "; ".join(filter(None, (engines, machines, trials))) or "nothing was measured"

    @property
    def complete(self) -> bool:
        """Whether every claim has its answer with a reason."""
        return bool(self.all) and all(one.reason for one in self.all)

    def samples(self) -> list[tuple[str, float, str]]:
        """For a record: how many claims have each answer, and every measured figure."""
        counts = [(f"claims {name}", float(count), "") for name, count in self.counts.items()]
        figures = [
            (f"{one.claim.id}: {one.claim.metric}", one.figure.value, "")
            for one in self.all
            if one.figure
        ]
        return counts + figures

    def table(self, standing: Standing | None = None) -> list[dict[str, Any]]:
        """Rows for a table, of one kind of answer or all."""
        return [
            {
                "claim": one.claim.id,
                "system": one.claim.system,
                "it says": one.claim.says,
                "claimed": claimed_words(one.claim),
                "measured": short_words(one.claim.metric, one.figure) if one.figure else "–",
                "answer": str(one.standing),
                "why": one.reason,
            }
            for one in self.all
            if standing in (None, one.standing)
        ]

    def to_dict(self) -> dict[str, Any]:
        """As the command line's last line has it."""
        return {
            "claims": [answer.to_dict() for answer in self.all],
            "counts": self.counts,
            "finding": self.finding,
            "out": str(self.folder),
        }


def write_answers(answers: Answers) -> Path:
    """Writes both files into the answers' folder; returns the JSON's path."""
    path = answers.folder / FILE
    content = {"schema_version": SCHEMA_VERSION, "made_utc": utc_now(), **answers.to_dict()}
    del content["out"]
    write_json(path, portable(content))
    write_text(answers.folder / TABLE_FILE, portable(_markdown(answers)))
    return path


def read_answers(folder: Path | str) -> Answers:
    """The answers written in ``folder``; RecordError where they are missing or torn."""
    folder = Path(folder)
    path = folder / FILE
    if not path.is_file():
        raise RecordError(f"no answers in {folder}", "run `workbench claims --out` on it first")
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise RecordError(f"{path} is torn: {problem}", "answer the claims anew") from problem
    version = kept.get("schema_version") if isinstance(kept, dict) else None
    if version != SCHEMA_VERSION:
        raise RecordError(
            f"{path} has schema version {version!r}, not {SCHEMA_VERSION}", "answer the claims anew"
        )
    try:
        return Answers(tuple(_answer(entry) for entry in kept["claims"]), folder)
    except (KeyError, TypeError, ValueError) as problem:
        raise RecordError(f"{path} can't be used: {problem}", "answer the claims anew") from problem


def _answer(entry: Mapping[str, Any]) -> Answer:
    claim = Claim(**{name: entry[name] for name in Claim.model_fields if name != "expected"},
                  expected=entry["claimed"])  # fmt: skip
    figure = None
    if entry["measured"] is not None:
        low, high = entry["interval"]
        figure = Interval(entry["measured"], low, high, entry["n"])
    on = entry["measured_on"] or {}
    return Answer(claim, Standing(entry["answer"]), entry["reason"], figure, on)


def _from_to(few: int, many: int) -> str:
    return f"n = {few}" if few == many else f"n = {few}–{many}"


def _markdown(answers: Answers) -> str:
    lines = ["# Claims", "", answers.finding, ""]
    columns = ("claim", "it says", "claimed", "measured", "why")
    for standing, group in answers.by_standing.items():
        lines += [f"## {str(standing).capitalize()} ({len(group)})", ""]
        lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        for row in answers.table(standing):
            cells = (str(row[name]).replace("|", "\\|").replace("\n", " ") for name in columns)
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)
