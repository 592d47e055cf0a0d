"""A bench in a file: one record with every raw sample, and the machine before and after.

begun = begin("asr", {"engine": "base", "rounds": 2})       # before the first trial
begun.write("outputs/asr", result.verdict, result.samples())
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.measure import record as records
from workbench.measure.record import Metric, Record, utc_now


@dataclass(frozen=True)
class Begun:
    """A bench that has begun: its ``name`` and settings, and the machine as it was then."""

    name: str
    parameters: Mapping[str, Any]
    environment: Mapping[str, Any]
    started_utc: str
    started_s: float

    def write(
        self,
        folder: Path | str,
        verdict: str,
        samples: Iterable[tuple[str, Sequence[float], str]],
        **details: Any,
    ) -> Path:
        """Writes ``NAME.record.json`` into ``folder``; returns its path.

        ``samples`` are (name, raw values in the order taken, unit); ``details`` what else is
        needed to judge them, as JSON values. Raises OutputError where it can't be written.
        """
        from workbench.hardware.fingerprint import state

        record = Record(
            kind="bench",
            name=self.name,
            title=f"bench {self.name}",
            status="ok",
            verdict=verdict,
            started_utc=self.started_utc,
            duration_s=round(time.perf_counter() - self.started_s, 3),
            parameters=dict(self.parameters),
            environment_before=dict(self.environment),
            environment_after=state(),
            metrics=tuple(
                Metric(name, unit, tuple(float(value) for value in values))
                for name, values, unit in samples
            ),
            details=details,
        )
        return records.write(Path(folder) / f"{self.name}.record.json", record)


def begin(name: str, parameters: Mapping[str, Any]) -> Begun:
    """Notes the machine and the time; ``parameters`` are JSON values."""
    from workbench.hardware.fingerprint import fingerprint

    return Begun(name, parameters, fingerprint(), utc_now(), time.perf_counter())
