"""VoiceReel's table: one script, spoken plainly, optimized, in batches and by several processes.

table = bench_reel(script, trials=3)
table.rows()                    # synthesis time, audio, RTF, times as fast, target
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from workbench.errors import InputError
from workbench.hardware.cpu import usable_cores
from workbench.hardware.fingerprint import fingerprint, label
from workbench.measure.statistics import (
    Interval,
    Ratio,
    bootstrap_interval,
    interleaved,
    paired_ratio,
)
from workbench.measure.watch import Limits, Span, Watch, disturbances
from workbench.reel.monitor import TARGET_AUDIO_S, TARGET_RTF, TARGET_S
from workbench.reel.script import Script
from workbench.worker import Worker

PLAIN = "plain"
BATCH = 8  # segments at a time: half of a script of fifteen
METRIC = "rtf"
_START_S, _TRIAL_S = 900.0, 900.0  # after which a process counts as hung


def configurations(device: str | None = None) -> dict[str, dict[str, Any]]:
    """VoiceReel's configurations by name, as settings; the first is the baseline."""
    place = {} if device is None else {"device": device}
    workers = max(2, int(usable_cores() or 1))
    several = {"workers": workers, **place}
    return {
        PLAIN: {"optimized": False, "batch_size": 1, **place},
        "optimized": {"batch_size": 1, **place},
        "optimized, batched": {"batch_size": BATCH, **place},
        f"optimized, {workers} processes": {"batch_size": 1, **several},
        f"optimized, batched, {workers} processes": {"batch_size": BATCH, **several},
    }


@dataclass(frozen=True)
class Table:
    """Raw figures: ``samples[configuration]`` has those of each trial, trial i of all a round.

    ``about`` is what really ran, ``spans`` what else the machine did meanwhile.
    """

    samples: Mapping[str, Sequence[Mapping[str, float]]]
    about: Mapping[str, Mapping[str, Any]]
    spans: tuple[Span, ...]
    environment: Mapping[str, Any]

    @property
    def trials(self) -> int:
        """How often each configuration spoke the script."""
        return len(next(iter(self.samples.values())))

    @property
    def busy(self) -> tuple[str, ...]:
        """What disturbed it, in sentences; often nothing. Times are worth little then."""
        return tuple(disturbances(self.spans, Limits()))

    def of(self, name: str, figure: str = METRIC) -> list[float]:
        """A configuration's ``figure`` in each trial."""
        return [trial[figure] for trial in self.samples[name]]

    def interval(self, name: str, figure: str = METRIC) -> Interval:
        """Its median with the bootstrap interval."""
        return bootstrap_interval(self.of(name, figure))

    def speedup(self, name: str) -> Ratio:
        """How many times as fast as plain, from trials of one round."""
        return paired_ratio(self.of(PLAIN), self.of(name))

    @property
    def estimates(self) -> dict[str, Interval]:
        """RTF by configuration, for a plot."""
        return {name: self.interval(name) for name in self.samples}

    @property
    def best(self) -> str:
        """The quickest configuration."""
        return min(self.samples, key=lambda name: self.interval(name).value)

    def rows(self) -> list[dict[str, Any]]:
        """A row a configuration, as in VoiceReel's benchmark; medians of all trials."""
        return [
            {
                "configuration": name,
                "synthesis (s)": self.interval(name, "synthesis_s"),
                "audio (s)": self.interval(name, "audio_s").value,
                "RTF": self.interval(name),
                "times as fast": None if name == PLAIN else self.speedup(name),
                f"{TARGET_AUDIO_S:g} s in {TARGET_S:g} s": _target(self.interval(name)),
            }
            for name in self.samples
        ]

    def measures(self) -> Iterator[tuple[str, list[float], str]]:
        """Raw samples for the record: name, values, unit."""
        for name in self.samples:
            for figure, unit in (("rtf", ""), ("synthesis_s", "s"), ("audio_s", "s")):
                yield f"{name}/{figure}", self.of(name, figure), unit

    @property
    def finding(self) -> str:
        """The quickest configuration in a sentence."""
        seconds = self.interval(self.best).value * TARGET_AUDIO_S
        return f"{TARGET_AUDIO_S:g} s of audio in {seconds:.1f} s ({self.best})"

    @property
    def caption(self) -> str:
        """What stands below a plot: trials, the target's line, the machine, what disturbed it."""
        words = f"n = {self.trials} trials; the line is {TARGET_AUDIO_S:g} s in {TARGET_S:g} s"
        words += f"; {label(dict(self.environment))}"
        return f"{words}; busy: {'; '.join(self.busy)}" if self.busy else words

    @property
    def verdict(self) -> str:
        """What the table says, and how far it is to be trusted."""
        words = f"{self.finding}, where {TARGET_S:g} s are the target"
        if self.best != PLAIN:
            words += f"; that is {self.speedup(self.best).value:.1f} times as fast as plain"
        if self.busy:
            words += f". The machine was busy, so times are worth little: {'; '.join(self.busy)}"
        return f"{words}."


def bench_reel(
    script: Script,
    trials: int = 3,
    *,
    device: str | None = None,
    only: Sequence[str] | None = None,
    progress: Callable[[str], None] = lambda words: None,
) -> Table:
    """Speaks ``script`` ``trials`` times in each configuration, in turn and in random order.

    Every configuration has processes of its own. ``only`` names those that take part beside plain
    (None: all). Raises InputError for an unknown one or fewer than two trials, and what a
    configuration's engine raises.
    """
    known = configurations(device)
    unknown = [name for name in only or () if name not in known]
    if unknown:
        raise InputError(f"no configuration called {unknown[0]!r}", f"use {', '.join(known)}")
    if trials < 2:
        raise InputError(f"{trials} trials", "an interval needs at least 2")
    chosen = {
        name: settings
        for name, settings in known.items()
        if only is None or name == PLAIN or name in only
    }
    environment = fingerprint()
    given = script.model_dump(mode="json")
    with ExitStack() as closing:
        workers: dict[str, Worker] = {}
        for name, settings in chosen.items():
            progress(f"starting {name}")
            worker = Worker("workbench.reel.arm:ReelArm", given, settings, name=name)
            workers[name] = closing.enter_context(worker)
            worker.ready(_START_S)
            worker.call("warm_up", timeout_s=_START_S)
        about = {name: worker.call("about") for name, worker in workers.items()}
        watch = Watch(lambda: [worker.pid for worker in workers.values()])
        progress(f"{trials} trials of each")
        calls = {name: partial(_trial, worker, name, progress) for name, worker in workers.items()}
        with watch.over(0, trials - 1):
            samples = interleaved(calls, trials)
    return Table(samples, about, tuple(watch.spans), environment)


def csv_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The table for a file: intervals as their values."""
    return [
        {name: one.value if isinstance(one, Interval) else one for name, one in row.items()}
        for row in rows
    ]


def _trial(worker: Worker, name: str, progress: Callable[[str], None]) -> dict[str, float]:
    progress(name)
    figures: dict[str, float] = worker.call("trial", timeout_s=_TRIAL_S)
    return figures


def _target(rtf: Interval) -> str:
    if rtf.high <= TARGET_RTF:
        return "met"
    return "missed" if rtf.low > TARGET_RTF else "met in some trials"
