"""CSM side by side in one process: transformers' ``generate`` and each rung of our frame step.

    bench(BenchSettings(engine="csm-1b", weights="random")).to_dict()

All arms run on the same weights and take turns in every round, so that what slows the machine
down hits all alike. It needs PyTorch, transformers and NumPy only, and no process of its own: for a
quick look, and for machines where nothing can be installed. `workbench ablate` gives verdicts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from workbench.errors import InputError, WorkbenchError
from workbench.measure.statistics import Ratio, interleaved, paired_ratio, percentiles

# What users of transformers have: as it comes, and with all that its documentation advises.
THEIRS: Mapping[str, tuple[str, ...]] = {
    "transformers": (),
    "transformers-best": ("inference_mode", "static_kv_cache", "torch_compile"),
}
_STEP = ("inference_mode", "frame_step", "buffer_pool", "sync_free_sampling", "true_streaming")
_FUSED = (*_STEP, "fused_projections", "folded_depth_embedding")
OURS: Mapping[str, tuple[str, ...]] = {
    "frame": _STEP,
    "frame-fused": _FUSED,
    "frame-native": (*_FUSED, "native_layers"),
    "frame-native-codec": (*_FUSED, "native_layers", "native_codec"),
    "frame-compiled": (*_FUSED, "torch_compile"),
    "frame-graph": (*_FUSED, "cuda_graphs"),
    "frame-graph-prefill": (*_FUSED, "cuda_graphs", "prefill_buckets"),
    "frame-compiled-graph": (*_FUSED, "torch_compile", "cuda_graphs"),
}
# Other weights, and so other codes: measured beside ours, with no say in what ours gain.
LOSSY: Mapping[str, tuple[str, ...]] = {
    "frame-int8": (*_FUSED, "native_int8"),
    "frame-native-int8": (*_FUSED, "native_layers", "native_codec", "native_int8"),
    "frame-native-int4": (*_FUSED, "native_layers", "native_codec", "native_int4"),
    "frame-graph-int8": (*_FUSED, "cuda_graphs", "native_int8"),
    "frame-graph-int4": (*_FUSED, "cuda_graphs", "native_int4"),
    "frame-compiled-int8": (*_FUSED, "torch_compile", "int8"),
    "frame-compiled-graph-fp8": (*_FUSED, "torch_compile", "cuda_graphs", "fp8"),
}
TEXTS = ("good morning sarah", "the red house is near the river")
_CODES_FRAMES = 16

Progress = Callable[[str], None]


@dataclass(frozen=True)
class BenchSettings:
    """What to compare. ``against``, ``ours`` and ``lossy`` name arms of ``THEIRS``, ``OURS`` and
    ``LOSSY``; the last have weights of their own, loaded a second time.

    ``max_frames`` cuts every speech, which engines that never end by themselves need. ``dtype``
    is the networks' in all arms (None: by the device). Raises InputError for unknown arms.
    """

    engine: str = "csm-nano"
    weights: str = "auto"
    device: str | None = None
    dtype: str | None = None
    threads: int | None = None
    against: tuple[str, ...] = tuple(THEIRS)
    ours: tuple[str, ...] = tuple(OURS)
    lossy: tuple[str, ...] = ()
    texts: tuple[str, ...] = TEXTS
    trials: int = 10
    max_frames: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        arms = ((self.against, THEIRS), (self.ours, OURS), (self.lossy, LOSSY))
        for names, known in arms:
            wrong = [name for name in names if name not in known]
            if wrong or not (names or known is LOSSY):
                raise InputError(
                    f"no arm called {', '.join(wrong)}" if wrong else "no arm to compare",
                    f"use {', '.join(known)}",
                )
        if self.trials < 2:
            raise InputError(f"{self.trials} trials", "an interval needs at least 2")


@dataclass(frozen=True)
class ArmFigures:
    """One arm's raw samples; ``reason`` says why it has none.

    ``frame_ms`` and ``ttfa_ms`` have one sample a trial, ``gap_ms`` every time between two chunks
    of a streaming arm. ``cold_start_s`` is the first request, compiling and captures included.
    """

    name: str
    optimizations: tuple[str, ...]
    reason: str = ""
    cold_start_s: float = 0.0
    frame_ms: tuple[float, ...] = ()
    ttfa_ms: tuple[float, ...] = ()
    rtf: tuple[float, ...] = ()
    gap_ms: tuple[float, ...] = ()
    peak_gpu_bytes: int | None = None


@dataclass(frozen=True)
class Bench:
    """All arms, the limit of a frame, and whether ours give transformers' codes."""

    settings: BenchSettings
    arms: tuple[ArmFigures, ...]
    limit_ms: float
    dtype: str
    device: str
    codes_equal: dict[str, bool | str] = field(default_factory=dict)

    def arm(self, name: str) -> ArmFigures:
        """The arm called ``name``; InputError where there is none."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise InputError(f"no arm called {name!r}", "use one of the settings' arms")

    def best(self, names: Sequence[str]) -> ArmFigures | None:
        """The arm of least median time for a frame; None where none of ``names`` ran."""
        ran = [arm for arm in self.arms if arm.name in names and arm.frame_ms]
        return min(ran, key=lambda arm: percentiles(arm.frame_ms)["p50"], default=None)

    def ratio(self, figure: str) -> Ratio | None:
        """Our best arm against their best arm by ``frame_ms`` or ``ttfa_ms``, paired by round."""
        theirs, ours = self.best(self.settings.against), self.best(self.settings.ours)
        if theirs is None or ours is None:
            return None
        return paired_ratio(getattr(theirs, figure), getattr(ours, figure))

    def lossy_ratios(self) -> dict[str, Ratio]:
        """Each arm of other weights against our best arm by ``frame_ms``, paired by round."""
        ours = self.best(self.settings.ours)
        ran = [arm for arm in self.arms if arm.name in self.settings.lossy and arm.frame_ms]
        return {} if ours is None else {
            arm.name: paired_ratio(ours.frame_ms, arm.frame_ms) for arm in ran
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The result as the command line's last line has it."""
        speed, first = self.ratio("frame_ms"), self.ratio("ttfa_ms")
        ours = self.best(self.settings.ours)
        share = None if ours is None else 100 * self.limit_ms / percentiles(ours.frame_ms)["p50"]
        equal = [found for found in self.codes_equal.values() if isinstance(found, bool)]
        return {
            "engine": self.settings.engine,
            "weights": self.settings.weights,
            "device": self.device,
            "dtype": self.dtype,
            "speedup": speed and speed.value,
            "speedup_interval": speed and [speed.low, speed.high],
            "ttfa_speedup": first and first.value,
            "ttfa_speedup_interval": first and [first.low, first.high],
            "codes_equal": all(equal) if equal else None,
            "codes_equal_by_arm": self.codes_equal,
            "percent_of_roofline": share,
            "limit_ms": self.limit_ms,
            "lossy_speedup": {
                name: {"value": ratio.value, "interval": [ratio.low, ratio.high]}
                for name, ratio in self.lossy_ratios().items()
            },
            "trials": self.settings.trials,
            "arms": [self._told(arm) for arm in self.arms],
        }

    def _told(self, arm: ArmFigures) -> dict[str, Any]:
        told: dict[str, Any] = {"name": arm.name, "optimizations": list(arm.optimizations)}
        if not arm.frame_ms:
            return told | {"reason": arm.reason}
        # The limit is that of ``dtype``'s bytes, which fewer bits don't have.
        limit_ms = None if arm.name in LOSSY else self.limit_ms
        median = percentiles(arm.frame_ms)["p50"]
        return told | {
            "frame_ms": percentiles(arm.frame_ms),
            "gap_ms": percentiles(arm.gap_ms) if arm.gap_ms else None,
            "ttfa_ms": percentiles(arm.ttfa_ms),
            "rtf": percentiles(arm.rtf)["p50"],
            "percent_of_roofline": limit_ms and 100 * limit_ms / median,
            "cold_start_s": arm.cold_start_s,
            "peak_gpu_bytes": arm.peak_gpu_bytes,
            "samples": asdict(arm)["frame_ms"],
        }


def bench(settings: BenchSettings, progress: Progress = lambda words: None) -> Bench:
    """Loads the engine once and lets all arms speak in turn.

    An arm that can't work here, or fails, has its reason and no samples.
    """
    import workbench
    from workbench.hardware.ceilings import measure_ceilings
    from workbench.profiling.roofline import frame_limit

    progress("loading")
    first = workbench.load(
        settings.engine,
        weights=settings.weights,  # type: ignore[arg-type]
        device=settings.device,
        dtype=settings.dtype,
        threads=settings.threads,
    )
    dtype = str(first.dtype).removeprefix("torch.")
    place = "cpu" if first.device.type == "cpu" else None
    progress("measuring what memory and arithmetic can do here")
    limit = frame_limit(first.config, measure_ceilings(3.0), dtype, device=place)
    arms = {name: _Arm(name, switches, first, settings) for name, switches in _chosen(settings)}
    for arm in arms.values():
        progress(f"first request of {arm.name}")
        arm.begin()
    calls = {
        (name, text): (lambda arm=arm, text=text: arm.trial(text))
        for name, arm in arms.items()
        for text in settings.texts
        if not arm.reason
    }
    progress(f"{settings.trials} rounds of {len(arms)} arms")
    if calls:
        interleaved(calls, settings.trials, settings.seed)
    equal = _codes_equal(settings, arms, progress)
    return Bench(
        settings,
        tuple(arm.figures() for arm in arms.values()),
        limit.limit_ms,
        dtype,
        str(first.device),
        equal,
    )


def _chosen(settings: BenchSettings) -> list[tuple[str, tuple[str, ...]]]:
    known = {**THEIRS, **OURS, **LOSSY}
    names = (*settings.against, *settings.ours, *settings.lossy)
    return [(name, known[name]) for name in names]


class _Arm:
    """One arm while the bench runs. What it does wrong ends it, with the reason."""

    def __init__(
        self, name: str, switches: tuple[str, ...], first: Any, settings: BenchSettings
    ) -> None:
        self.name, self.switches, self.reason = name, switches, ""
        self._first, self._settings = first, settings
        self._engine: Any = None
        self._cold_start_s = 0.0
        self._peak_bytes: int | None = None
        self._speeches: list[Any] = []
        self._gaps_ms: list[float] = []

    def begin(self) -> None:
        """Makes the engine and speaks each text once, which compiles and captures."""
        started = time.perf_counter()
        try:
            self._engine = self._made()
            for text in self._settings.texts:
                self._speak(text)
        except (WorkbenchError, RuntimeError, MemoryError) as problem:
            self.reason = _why(problem)
            self._engine = None
        self._cold_start_s = time.perf_counter() - started

    def _made(self) -> Any:
        if self.name not in LOSSY:
            return self._first.with_optimizations(self.switches)
        import workbench

        return workbench.load(
            self._settings.engine,
            weights=self._settings.weights,  # type: ignore[arg-type]
            device=self._settings.device,
            dtype=str(self._first.dtype).removeprefix("torch."),
            threads=self._settings.threads,
            optimizations=self.switches,
        )

    def trial(self, text: str) -> None:
        """One speech, kept without its samples."""
        if self.reason:
            return
        try:
            speech = self._speak(text)
        except (WorkbenchError, RuntimeError, MemoryError) as problem:
            self.reason = _why(problem)
            return
        self._speeches.append((text, speech.generation_ms, speech.ttfa_ms, speech.rtf,
                               max(speech.frames, 1)))  # fmt: skip
        if len(speech.chunks_ms) > 1 and self._engine.options.streaming == "true":
            pairs = zip(speech.chunks_ms, speech.chunks_ms[1:], strict=False)
            self._gaps_ms += [after - before for before, after in pairs]

    def codes(self, text: str) -> Any:
        """Greedy codes ``[K, T]`` of the first frames."""
        return self._engine.synthesize(
            text, seed=0, temperature=0.0, max_frames=_CODES_FRAMES
        ).codes

    def figures(self) -> ArmFigures:
        """What it gave: the mean over the texts of each round."""
        if self.reason or not self._speeches:
            return ArmFigures(self.name, self.switches, self.reason or "no trial ran")
        rounds = self._rounds()
        return ArmFigures(
            self.name,
            self.switches,
            "",
            self._cold_start_s,
            tuple(sum(s[1] for s in said) / sum(s[4] for s in said) for said in rounds),
            tuple(sum(s[2] for s in said) / len(said) for said in rounds),
            tuple(sum(s[3] for s in said) / len(said) for said in rounds),
            tuple(self._gaps_ms),
            self._peak_bytes,
        )

    def _rounds(self) -> list[list[Any]]:
        """Speeches by round: every text comes once in each."""
        by_text: dict[str, list[Any]] = {}
        for speech in self._speeches:
            by_text.setdefault(speech[0], []).append(speech)
        return [list(said) for said in zip(*by_text.values(), strict=False)]

    def _speak(self, text: str) -> Any:
        cuda = self._first.device.type == "cuda"
        if cuda:
            import torch

            torch.cuda.reset_peak_memory_stats()
        stream = self._engine.stream(
            text, seed=self._settings.seed, max_frames=self._settings.max_frames
        )
        for _ in stream:
            pass
        if cuda:
            self._peak_bytes = max(self._peak_bytes or 0, torch.cuda.max_memory_allocated())
        return stream.speech


def _why(problem: Exception) -> str:
    """The first line of an error; its kind where it says nothing, as MemoryError does."""
    return (str(problem) or type(problem).__name__).splitlines()[0]


def _codes_equal(
    settings: BenchSettings, arms: Mapping[str, _Arm], progress: Progress
) -> dict[str, bool | str]:
    """Whether each of our arms gives transformers' greedy codes, in float32.

    In 16 bits products round differently and codes part sooner or later, so there it isn't asked.
    """
    reference = next((arms[name] for name in settings.against if not arms[name].reason), None)
    if reference is None:
        return {}
    if str(reference._first.dtype) != "torch.float32":
        return dict.fromkeys(settings.ours, "asked in float32 only")
    progress("comparing codes")
    wanted = {text: reference.codes(text) for text in settings.texts}
    found: dict[str, bool | str] = {}
    for name in settings.ours:
        if arms[name].reason:
            found[name] = arms[name].reason
            continue
        got = {text: arms[name].codes(text) for text in settings.texts}
        found[name] = all(
            got[text].shape == codes.shape and bool((got[text] == codes).all())
            for text, codes in wanted.items()
        )
    return found
