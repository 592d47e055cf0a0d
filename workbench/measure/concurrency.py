"""How many can listen at a time: loads of growing size, and the largest in real time.

The measurement of notebook 32.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from workbench.engines.csm.streams import StreamPool
from workbench.engines.speech import Speech
from workbench.errors import InputError
from workbench.measure import findings
from workbench.measure.load import Load, run_load
from workbench.measure.speech import named
from workbench.measure.statistics import bootstrap_interval, interleaved, percentiles
from workbench.quality.agreement import max_difference, token_agreement

_POINTS = (50, 95, 99)


@dataclass(frozen=True)
class Together:
    """The same requests one after another and all at once, to compare and to listen to."""

    alone: tuple[Speech, ...]
    together: tuple[Speech, ...]

    @property
    def difference(self) -> float:
        """Largest absolute difference of any two samples."""
        pairs = zip(self.alone, self.together, strict=True)
        return max(max_difference(one, other) for one, other in pairs)

    @property
    def token_share(self) -> float:
        """Share of equal tokens: 1 in float32; in 16 bits sums round otherwise in a batch."""
        pairs = zip(self.alone, self.together, strict=True)
        shares = [token_agreement(one.codes, other.codes).share for one, other in pairs]
        return sum(shares) / len(shares)

    @property
    def clips(self) -> dict[str, Speech]:
        """The longest of both, for players."""
        pairs = zip(self.alone, self.together, strict=True)
        alone, together = max(pairs, key=lambda pair: len(pair[0]))
        others = len(self.alone) - 1
        return {"alone": alone, f"together with {others} other{'s' * (others != 1)}": together}

    @property
    def audible(self) -> bool:
        """Whether every stream gave sound above silence."""
        return all(one.audible_onset_s is not None for one in self.together)

    @property
    def same(self) -> bool:
        """Whether nobody can hear a difference."""
        return self.difference <= findings.HEARD_DIFFERENCE


@dataclass(frozen=True)
class Concurrency:
    """Loads by number of listeners, one for each round.

    ``limits_ms`` has the roofline of a frame for some of these numbers; ``prebuffer_ms`` is what
    the simulated players wait after their first chunk.
    """

    loads: Mapping[int, Sequence[Load]]
    together: Together
    limits_ms: Mapping[int, float]
    prebuffer_ms: float
    machine: str

    @property
    def rounds(self) -> int:
        """How often each load was run."""
        return len(next(iter(self.loads.values())))

    @property
    def caption(self) -> str:
        """Engine, machine and n."""
        return f"{self.machine} · n = {self.rounds} interleaved rounds of each load"

    @property
    def deadline_ms(self) -> float:
        """How long a frame may take in real time: as long as it sounds."""
        return next(iter(self.loads.values()))[0].chunk_ms

    def intervals_ms(self, streams: int) -> list[float]:
        """From chunk to chunk of a stream, of all streams and rounds."""
        return [gap for load in self.loads[streams] for gap in load.intervals_ms]

    def ttfa_ms(self, streams: int) -> list[float]:
        """Times to first audio of all streams and rounds."""
        return [first for load in self.loads[streams] for first in load.ttfa_ms]

    def underruns(self, streams: int) -> int:
        """How often players ran dry, of all streams and rounds."""
        return sum(load.underruns(self.prebuffer_ms) for load in self.loads[streams])

    def needed_prebuffer_ms(self, streams: int) -> float:
        """With how much of a prebuffer no player would have run dry."""
        return max(load.needed_prebuffer_ms for load in self.loads[streams])

    def throughput(self, streams: int) -> float:
        """Seconds of audio made in a second: median of the rounds."""
        return float(np.median([load.throughput for load in self.loads[streams]]))

    def real_time(self, streams: int) -> bool:
        """Whether no player ran dry and 95 % of the chunks came within the deadline."""
        late = percentiles(self.intervals_ms(streams), (95,))["p95"] > self.deadline_ms
        return not late and self.underruns(streams) == 0

    @property
    def largest_in_real_time(self) -> int | None:
        """The largest measured load up to which all were in real time; None where none was."""
        largest = None
        for streams in self.loads:
            if not self.real_time(streams):
                break
            largest = streams
        return largest

    @property
    def throughput_curves(self) -> dict[str, dict[int, float]]:
        """Audio seconds a second by number of streams: measured, asked for, and the roofline's."""
        curves = {
            "measured": {streams: self.throughput(streams) for streams in self.loads},
            "needed in real time": {streams: float(streams) for streams in self.loads},
        }
        if self.limits_ms:
            curves["roofline"] = {
                streams: streams * self.deadline_ms / limit_ms
                for streams, limit_ms in self.limits_ms.items()
            }
        return curves

    @property
    def interval_curves(self) -> dict[str, dict[int, float]]:
        """Percentiles of the chunks' intervals (ms) by number of streams."""
        return self._curves(self.intervals_ms)

    @property
    def ttfa_curves(self) -> dict[str, dict[int, float]]:
        """Percentiles of the times to first audio (ms) by number of streams."""
        return self._curves(self.ttfa_ms)

    def _curves(self, samples: Any) -> dict[str, dict[int, float]]:
        found = {streams: percentiles(samples(streams), _POINTS) for streams in self.loads}
        return {
            f"p{point}": {streams: one[f"p{point}"] for streams, one in found.items()}
            for point in _POINTS
        }

    @property
    def finding(self) -> str:
        """How many listeners are served in real time."""
        largest, most = self.largest_in_real_time, max(self.loads)
        if largest is None:
            return f"Not even {_streams(min(self.loads))} in real time"
        if largest == most:
            return f"{_streams(most)} in real time, and no more were tried"
        return f"{_streams(largest)} in real time"

    @property
    def throughput_finding(self) -> str:
        """How much more sound a machine makes when it speaks several streams at a time."""
        least, most = min(self.loads), max(self.loads, key=self.throughput)
        if least == most:
            return f"{_streams(least)} and no more make the most sound a second"
        gain = self.throughput(most) / self.throughput(least)
        return (
            f"{_streams(most)} make {findings.rounded(gain)}× as much sound a second "
            f"as {_streams(least)}"
        )

    @property
    def ttfa_finding(self) -> str:
        """What the first sound costs when many speak."""
        least, most = min(self.loads), max(self.loads)
        first = {n: percentiles(self.ttfa_ms(n), (95,))["p95"] for n in (least, most)}
        return (
            f"95 % hear something within {first[most]:,.0f} ms among {_streams(most)}, "
            f"within {first[least]:,.0f} ms with {_streams(least)}"
        )

    @property
    def verdict(self) -> str:
        """What was learned, in words."""
        shown = self.largest_in_real_time or min(self.loads)
        gaps = percentiles(self.intervals_ms(shown), _POINTS)
        warning = findings.noise_warning(self.together.alone[0])
        return (
            f"{self.finding}: with {_streams(shown)} {self.throughput(shown):,.1f} s of audio a "
            f"second, a chunk every {gaps['p50']:,.0f} ms (p99 {gaps['p99']:,.0f} ms, deadline "
            f"{self.deadline_ms:,.0f} ms), {self.underruns(shown):,} underruns. "
            f"{self.ttfa_finding}. Together and alone, "
            f"{findings.sameness(self.together.difference)}.{warning}"
        )

    def rows(self) -> list[dict[str, Any]]:
        """One row a load."""
        rows = []
        for streams in self.loads:
            made = [load.throughput for load in self.loads[streams]]
            rows.append({
                "streams": streams,
                "audio (s/s)": bootstrap_interval(made),
                **_columns("interval", self.intervals_ms(streams), _POINTS),
                "roofline (ms)": self.limits_ms.get(streams),
                **_columns("first audio", self.ttfa_ms(streams), (50, 95)),
                "underruns": self.underruns(streams),
                "needed prebuffer (ms)": self.needed_prebuffer_ms(streams),
                "real time": self.real_time(streams),
            })  # fmt: skip
        return rows

    def to_dict(self) -> dict[str, Any]:
        """JSON-able figures, without the raw samples."""
        return {
            "machine": self.machine,
            "largest_in_real_time": self.largest_in_real_time,
            "deadline_ms": self.deadline_ms,
            "token_share": self.together.token_share,
            "loads": [
                {
                    "streams": streams,
                    "audio_s_per_s": self.throughput(streams),
                    "interval_ms": percentiles(self.intervals_ms(streams), _POINTS),
                    "ttfa_ms": percentiles(self.ttfa_ms(streams), _POINTS),
                    "underruns": self.underruns(streams),
                    "needed_prebuffer_ms": self.needed_prebuffer_ms(streams),
                    "real_time": self.real_time(streams),
                    "limit_ms": self.limits_ms.get(streams),
                }
                for streams in self.loads
            ],
        }

    def samples(self) -> Iterator[tuple[str, list[float], str]]:
        """Raw samples for the record: name, values, unit."""
        for streams, loads in self.loads.items():
            yield f"interval/{streams}", self.intervals_ms(streams), "ms"
            yield f"first audio/{streams}", self.ttfa_ms(streams), "ms"
            yield f"frame/{streams}", [took for one in loads for took in one.frames_ms], "ms"
            yield (
                f"streams in a frame/{streams}",
                [float(count) for one in loads for count in one.frames_streams],
                "streams",
            )
            yield f"throughput/{streams}", [one.throughput for one in loads], "s/s"
            yield f"underruns/{streams}", [float(self.underruns(streams))], "underruns"
            yield f"warm-up/{streams}", [one.warm_up_s for one in loads], "s"
        for streams, limit_ms in self.limits_ms.items():
            yield f"roofline/{streams}", [limit_ms], "ms"


def measure_concurrency(
    engine: Any,
    streams: Iterable[int],
    sentences: Iterable[str],
    *,
    rounds: int = 2,
    seconds: float = 6.0,
    max_frames: int | None = None,
    positions: int | None = None,
    limits_ms: Mapping[int, float] | None = None,
    prebuffer_ms: float = 0.0,
    seed: int = 0,
) -> Concurrency:
    """Puts the engine under a load of each size, in a new random order each round.

    ``sentences`` name what is said (``measure.speech.SENTENCES``), ``seconds`` is the length of
    one load, ``positions`` are a slot's (None: all that the model has). Says each sentence alone
    and all of them together first. Raises InputError for no loads, fewer than two rounds, and
    loads too short for any stream to have two chunks.
    """
    sizes = sorted(set(streams))
    if not sizes or sizes[0] < 1 or rounds < 2:
        raise InputError(
            f"loads of {sizes} streams in {rounds} rounds",
            "pass numbers of at least 1, and at least 2 rounds for an interval",
        )
    texts = list(named(sentences).values())
    compared = speak_together(engine, texts, max_frames=max_frames, seed=seed)
    calls = {
        size: partial(
            run_load,
            engine,
            size,
            texts,
            seconds=seconds,
            max_frames=max_frames,
            positions=positions,
            seed=seed,
        )
        for size in sizes
    }
    results = interleaved(calls, rounds, seed, wrap=partial(tqdm, desc="rounds", unit="round"))
    for size, loads in results.items():
        if not all(load.intervals_ms and sum(load.frames_streams) for load in loads):
            raise InputError(
                f"{seconds:g} s are too short for a load of {size} streams", "allow more seconds"
            )
    return Concurrency(
        loads=results,
        together=compared,
        limits_ms=dict(limits_ms or {}),
        prebuffer_ms=prebuffer_ms,
        machine=findings.caption(engine),
    )


def speak_together(
    engine: Any, texts: Sequence[str], *, max_frames: int | None = None, seed: int = 0
) -> Together:
    """Each text alone, then all of them at once in a pool, with the same seeds."""
    seeds = range(seed, seed + len(texts))
    alone = []
    for text, own in zip(texts, seeds, strict=True):
        stream = engine.stream(text, seed=own, max_frames=max_frames, streaming="true")
        for _ in stream:
            pass
        alone.append(stream.speech)
    with StreamPool(engine, len(texts)) as pool:
        streams = [
            pool.join(text, seed=own, max_frames=max_frames)
            for text, own in zip(texts, seeds, strict=True)
        ]
        while pool.busy:
            pool.step()
    return Together(tuple(alone), tuple(stream.speech for stream in streams))


def _columns(name: str, samples: Sequence[float], points: Sequence[int]) -> dict[str, float]:
    found = percentiles(samples, points)
    return {f"{name} p{point} (ms)": found[f"p{point}"] for point in points}


def _streams(count: int) -> str:
    return f"{count:,} stream{'' if count == 1 else 's'}"
