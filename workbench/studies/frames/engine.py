"""From transformers' ``generate`` to one graph, rung by rung: the measurement of notebook 31.

found = measure_frame_engine(engine, "good morning sarah", out="outputs/frame_engine")
found.launches, found.frame_ms, found.shares, found.verdict
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.engines.speech import Speech
from workbench.errors import InputError
from workbench.measure import findings
from workbench.measure.speech import Trials, compare, frame_ms, whole
from workbench.measure.statistics import Interval, Ratio
from workbench.profiling.profile import Profile, profile
from workbench.profiling.roofline import FrameLimit
from workbench.profiling.timeline import FrameLine
from workbench.quality.agreement import max_difference, token_agreement
from workbench.studies.frames.bench import OURS, THEIRS

GENERATE = "transformers"
_SENTENCE = "text"
_NOT_A_FRAMES = ("text", "context", "prefill", "codec")

# What each rung does away with, for the table that stands before any figure.
WORDS: Mapping[str, str] = {
    GENERATE: "generate, which enters another generate for the depth decoder of every frame",
    "transformers-best": "the same with static caches and torch.compile",
    "frame": "one frame step from static caches, without generate",
    "frame-fused": "fewer, larger products: fused projections, folded depth embedding",
    "frame-native": "two native calls a frame: backbone, and the whole depth loop",
    "frame-native-codec": "the same, and one native call for the codec's decoder",
    "frame-compiled": "the step's functions compiled by inductor",
    "frame-graph": "the whole frame as one CUDA graph",
    "frame-graph-prefill": "the same, and the prompt's reading as one of a few graphs",
    "frame-compiled-graph": "compiled, then captured as one CUDA graph",
}


@dataclass(frozen=True)
class FrameEngine:
    """Every rung's trials and its profile; ``left_out`` says why a rung is missing here."""

    trials: Trials
    profiles: Mapping[str, Profile]
    limit: FrameLimit
    left_out: Mapping[str, str]
    machine: str

    @property
    def rungs(self) -> tuple[str, ...]:
        """The rungs that ran, ``generate`` first."""
        return tuple(self.profiles)

    @property
    def last(self) -> str:
        """The fastest rung of ours."""
        times = self.frame_ms
        return min(self.rungs[1:], key=lambda rung: times[rung].value)

    @property
    def launches(self) -> dict[str, float]:
        """Launches of a frame: kernels and graphs on a GPU, operators called on a CPU.

        What is done once a request isn't counted, and the codec's decode, which comes at the end.
        """
        return {rung: _launches(found) for rung, found in self.profiles.items()}

    @property
    def lines(self) -> dict[str, FrameLine]:
        """A frame of each rung on a time line, under the profiler."""
        return {rung: found.frame for rung, found in self.profiles.items()}

    @property
    def frame_ms(self) -> dict[str, Interval]:
        """The time of a frame, whole speeches without the profiler."""
        return {rung: self.trials.interval(rung, frame_ms) for rung in self.rungs}

    @property
    def gains(self) -> dict[str, Ratio]:
        """How many times as fast each rung is as the one before."""
        pairs = zip(self.rungs, self.rungs[1:], strict=False)
        return {rung: self.trials.ratio(before, rung, frame_ms) for before, rung in pairs}

    @property
    def whole_gain(self) -> Ratio:
        """The fastest rung against ``generate``."""
        return self.trials.ratio(GENERATE, self.last, frame_ms)

    @property
    def shares(self) -> dict[str, float]:
        """Share of the roofline that each rung reaches."""
        return {rung: self.limit.limit_ms / time.value for rung, time in self.frame_ms.items()}

    @property
    def token_shares(self) -> dict[str, float]:
        """Share of the codes that are those of ``generate``, by rung; greedy, one text."""
        return {
            rung: token_agreement(self._clip(GENERATE).codes, self._clip(rung).codes).share
            for rung in self.rungs
        }

    @property
    def differences(self) -> dict[str, float]:
        """Largest difference of a sample from ``generate``'s, by rung."""
        return {rung: max_difference(self._clip(GENERATE), self._clip(rung)) for rung in self.rungs}

    @property
    def same(self) -> bool:
        """Whether all rungs give the codes of ``generate`` and sound that nobody can tell apart."""
        return min(self.token_shares.values()) == 1 and (
            max(self.differences.values()) <= findings.HEARD_DIFFERENCE
        )

    @property
    def clips(self) -> dict[str, Speech]:
        """The first and the fastest rung, by what differs, for players."""
        return {
            f"{rung}: {self.frame_ms[rung].value:,.1f} ms a frame": self._clip(rung)
            for rung in (GENERATE, self.last)
        }

    @property
    def audible(self) -> bool:
        """Whether every rung gave sound above silence."""
        return all(self._clip(rung).audible_onset_s is not None for rung in self.rungs)

    def _clip(self, rung: str) -> Speech:
        return self.trials.clip(rung, _SENTENCE)

    @property
    def caption(self) -> str:
        """Engine, machine and n, for plots of the trials."""
        frames = self._clip(self.last).frames
        return f"{self.machine} · n = {self.trials.rounds} interleaved rounds of {frames} frames"

    @property
    def line_caption(self) -> str:
        """Engine and machine, and that the profiler slows things down."""
        return f"{self.machine} · each its frame of median length; the profiler slows all down"

    @property
    def launch_finding(self) -> str:
        """How many launches are left of how many."""
        first, last = self.launches[GENERATE], self.launches[self.last]
        what = "launches" if self.profiles[self.last].trace.on_gpu else "operator calls"
        return f"{first:,.0f} {what} a frame become {last:,.0f}"

    @property
    def speed_finding(self) -> str:
        """How many times as fast a frame is, and how far the roofline."""
        ratio = findings.faster(self.whole_gain, "generate")
        share = self.shares[self.last]
        return f"{findings.capital(self.last)}: {ratio}, at {share:.0%} of the roofline"

    @property
    def sound_finding(self) -> str:
        """Whether the sound stayed."""
        share = min(self.token_shares.values())
        codes = (
            "all codes are equal" if share == 1 else f"at least {share:.0%} of the codes are equal"
        )
        return f"{codes}, {findings.sameness(max(self.differences.values()))}"

    @property
    def verdict(self) -> str:
        """What was learned, in words."""
        first, last = (self.frame_ms[rung].value for rung in (GENERATE, self.last))
        return (
            f"{self.speed_finding}: {findings.rounded(last)} ms instead of "
            f"{findings.rounded(first)}, where {findings.rounded(self.limit.limit_ms)} are the "
            f"limit. {self.launch_finding}. {findings.capital(self.sound_finding)}."
            f"{findings.noise_warning(self._clip(GENERATE))}"
        )

    def rows(self) -> list[dict[str, Any]]:
        """One row a rung."""
        return [
            {
                "rung": rung,
                "a frame (ms)": self.frame_ms[rung],
                "of the roofline (%)": 100 * self.shares[rung],
                "launches a frame": round(self.launches[rung]),
                "codes as generate (%)": 100 * self.token_shares[rung],
                "largest difference": f"{self.differences[rung]:.0e}",
            }
            for rung in self.rungs
        ]

    def samples(self) -> Iterator[tuple[str, list[float], str]]:
        """Raw samples for the record: name, values, unit."""
        for rung in self.rungs:
            yield f"frame/{rung}", self.trials.samples(rung, frame_ms), "ms"
            yield f"launches/{rung}", [self.launches[rung]], "1/frame"
        yield "roofline", [self.limit.limit_ms], "ms"


def _launches(found: Profile) -> float:
    rows = [row for row in found.by_stage() if row.stage not in _NOT_A_FRAMES]
    made = sum(row.launches if found.trace.on_gpu else row.operators for row in rows)
    return made / found.frames


def rungs_here(engine: Any) -> tuple[str, ...]:
    """Our rungs up to the last that starts at once on this device: native calls, or a graph."""
    if engine.device.type == "cuda":
        return ("frame", "frame-fused", "frame-graph", "frame-compiled-graph")
    from workbench.native import native_status

    if native_status().built:
        return ("frame", "frame-fused", "frame-native", "frame-native-codec")
    return ("frame", "frame-fused", "frame-compiled")


def rung_rows(rungs: Sequence[str]) -> list[dict[str, str]]:
    """What each rung is, as a table shows it."""
    return [
        {"rung": rung, "what": WORDS[rung], "switches": ", ".join(switches_of(rung)) or "none"}
        for rung in (GENERATE, *rungs)
    ]


def switches_of(rung: str) -> tuple[str, ...]:
    """The rung's switches; all rungs decode at the end, as ``generate`` must."""
    return tuple(name for name in {**THEIRS, **OURS}[rung] if name != "true_streaming")


def measure_frame_engine(
    engine: Any,
    text: str,
    limit: FrameLimit,
    *,
    out: Path | str,
    rungs: Sequence[str] | None = None,
    trials: int = 6,
    max_frames: int | None = None,
    frames: int = 8,
    seed: int = 0,
) -> FrameEngine:
    """Lets ``generate`` and each of ``rungs`` (None: those for this device) speak ``text``.

    All run on ``engine``'s weights, greedy, so that codes can be compared. Each is profiled first
    (``frames`` frames; traces go into folders of ``out``), then all take turns for ``trials``
    rounds. A rung that can't work here is left out with its reason.

    Raises InputError for rungs that there aren't, or where none of ours can work.
    """
    chosen = tuple(rungs_here(engine) if rungs is None else rungs)
    unknown = [rung for rung in chosen if rung not in OURS]
    if unknown or not chosen:
        raise InputError(
            f"no rung called {', '.join(unknown)}" if unknown else "no rung",
            f"use {', '.join(OURS)}",
        )
    left_out: dict[str, str] = {}
    engines: dict[str, Any] = {GENERATE: engine.with_optimizations(())}
    for rung in chosen:
        try:
            engines[rung] = engine.with_optimizations(switches_of(rung))
        except InputError as problem:
            left_out[rung] = problem.what
    if len(engines) < 2:
        raise InputError("none of our rungs can work here", "; ".join(left_out.values()))
    profiles = {
        rung: profile(
            one, text, out=Path(out) / rung, frames=frames, runs=1, seed=seed, memory=False
        )
        for rung, one in engines.items()
    }
    settings = {"seed": seed, "temperature": 0.0, "max_frames": max_frames}
    voice = next(iter(engine.voices))
    arms = {rung: whole(one, voice=voice, **settings) for rung, one in engines.items()}
    for arm in arms.values():
        arm(text)
    spoken = compare(arms, {_SENTENCE: text}, trials, seed)
    return FrameEngine(spoken, profiles, limit, left_out, findings.caption(engine))
