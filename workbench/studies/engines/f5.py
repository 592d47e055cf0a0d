"""F5-TTS: how many steps, in which type, compiled or not, and what each does to the sound.

result = compare_f5([32, 16, 7], ["float32", "bfloat16"], trials=10)
result.rows()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from workbench.engines.guests import status
from workbench.engines.guests.f5_schedule import PRUNED, timesteps
from workbench.engines.guests.spanish import normalized
from workbench.engines.speech import Speech
from workbench.errors import InputError
from workbench.hardware.fingerprint import label
from workbench.measure import findings
from workbench.measure.plan import Plan
from workbench.measure.speech_arm import speech_arm
from workbench.measure.statistics import Interval, bootstrap_interval
from workbench.measure.study import CONTROL, Study
from workbench.measure.trials import run_study
from workbench.quality.spectral import log_mel_distance_db

METRIC = "frame_ms"
SENTENCES = (
    "El tren de las 7:45 sale del andén 3 con 12 minutos de retraso.",
    "La Sra. Ruiz pagó 1.250,50 € por 21 libros el 3/5/2024.",
    "En el siglo XX la ciudad creció un 35 % y llegó a 2.000.000 de habitantes.",
)


@dataclass(frozen=True)
class F5Study:
    """Arms of one F5-TTS against the one of most steps; ``clips`` are of the first rounds."""

    study: Study
    texts: tuple[str, ...]
    clips: Mapping[str, Sequence[Speech]]

    @property
    def names(self) -> list[str]:
        """Arms that spoke."""
        return [
            name for name, one in self.study.results.items()
            if name != CONTROL and one.error is None and len(one.rounds) > 1
        ]  # fmt: skip

    def distance_db(self, name: str) -> float:
        """Mean log-mel distance from the baseline's clips of the same texts and seeds."""
        own = self.clips[self.study.baseline.arm.name]
        pairs = zip(own, self.clips[name], strict=True)
        return float(np.mean([log_mel_distance_db(one, other) for one, other in pairs]))

    def rows(self) -> list[dict[str, Any]]:
        """One row an arm: its speed, and how far its sound is from the baseline's."""
        baseline = self.study.baseline.arm.name
        return [
            {
                "arm": name,
                "real-time factor": self.rtf(name),
                "times as fast": None if name == baseline else self.study.undisturbed(name).ratio,
                "verdict": None if name == baseline else str(self.study.judgement(name).verdict),
                "log-mel distance (dB)": self.distance_db(name),
                "peak memory (MiB)": max(self.study.result(name).of("peak_rss_bytes")) / 2**20,
            }
            for name in self.names
        ]

    def rtf(self, name: str) -> Interval:
        """Real-time factor of an arm with its interval."""
        return bootstrap_interval(self.study.result(name).of("rtf"))

    @property
    def rtfs(self) -> dict[str, Interval]:
        """Real-time factors by arm."""
        return {name: self.rtf(name) for name in self.names}

    @property
    def labels(self) -> dict[str, Speech]:
        """The first text by each arm, for players."""
        return {
            f"{name}: RTF {self.clips[name][0].rtf:.2f}": self.clips[name][0] for name in self.names
        }

    @property
    def caption(self) -> str:
        """Machine and weights."""
        weights = str(self.study.baseline.about.get("weights", ""))[:12]
        return f"f5 ({weights} weights) · {label(dict(self.study.environment_before))}"

    @property
    def finding(self) -> str:
        """The fastest arm against the baseline."""
        baseline = self.study.baseline.arm.name
        if self.study.failed:
            return f"F5-TTS failed: {self.study.failed.splitlines()[0]}"
        judged = {
            name: found
            for name in self.names
            if name != baseline and (found := self.study.undisturbed(name)).ratio is not None
        }
        if not judged:
            return f"Only {baseline} was measured"
        best = max(judged, key=lambda name: judged[name].ratio.value)  # type: ignore[union-attr]
        ratio = judged[best].ratio
        assert ratio is not None
        distance = f"{self.distance_db(best):.1f} dB of log-mel distance"
        if ratio.low <= 1:
            return f"No arm can be told from {baseline}"
        return f"{best} is {findings.faster(ratio, baseline)}, at {distance}"

    @property
    def verdict(self) -> str:
        """What was learned, in words."""
        words = f"{self.finding}."
        if self.study.disturbed:
            words += f" The machine was not at rest ({'; '.join(self.study.disturbed)})."
        if self.study.baseline.about.get("weights") == "random":
            words += findings.noise_warning(next(iter(self.clips.values()))[0])
        for name, one in self.study.results.items():
            if one.error and name != CONTROL:
                words += f" {name} failed: {one.error.message.splitlines()[0]}."
        return words

    def samples(self) -> Iterator[tuple[str, list[float], str]]:
        """Raw samples for the record: name, values, unit."""
        for name in self.names:
            result = self.study.result(name)
            yield f"{name}/{METRIC}", list(result.of(METRIC)), "ms"
            yield f"{name}/rtf", list(result.of("rtf")), ""


def compare_f5(
    engine: str,
    nfe_steps: Sequence[int],
    precisions: Sequence[str],
    *,
    compiled: bool = False,
    settings: Mapping[str, Any] | None = None,
    weights: str = "auto",
    size: str = "full",
    texts: Sequence[str] = SENTENCES,
    trials: int = 10,
    starts: int | None = None,
    threads: int | None = None,
    seed: int = 0,
    progress: Callable[[str], None] = lambda words: None,
) -> F5Study | None:
    """Every number of steps in every type, and with ``compiled`` the first of each once more.

    The first of both lists is the baseline. None where F5-TTS isn't installed. Raises InputError
    for empty lists.
    """
    if not nfe_steps or not precisions:
        raise InputError("no steps or no types", "pass at least one of each")
    found = status("f5")
    if not found.ready:
        return None
    variants: dict[str, dict[str, Any]] = {
        f"{steps} steps, {dtype}": {"nfe_step": steps, "dtype": dtype}
        for dtype, steps in product(precisions, nfe_steps)
    }
    if compiled:
        variants |= {
            f"{nfe_steps[0]} steps, {dtype}, compiled": {
                "nfe_step": nfe_steps[0], "dtype": dtype,
                "optimizations": ["inference_mode", "torch_compile"],
            }
            for dtype in precisions
        }  # fmt: skip
    shared = {"language": "es", "weights": weights, "size": size, **(settings or {})}
    arms = [
        speech_arm(
            name, engine, texts, load={**shared, **own}, python=str(found.python), threads=threads
        )
        for name, own in variants.items()
    ]
    clips: dict[str, list[Speech]] = {}

    def keep(arm: str, _: int, speech: Speech) -> None:
        clips.setdefault(arm, []).append(speech)

    study = run_study(
        "f5",
        arms[0],
        arms[1:],
        metric=METRIC,
        plan=Plan(trials=trials, starts=starts, seed=seed),
        progress=progress,
        keep=keep,
        kept=range(len(texts)),
    )
    clips.pop(CONTROL, None)
    return F5Study(study, tuple(texts), clips)


def spoken_rows(texts: Sequence[str] = SENTENCES) -> list[dict[str, Any]]:
    """Each text as it is written and as it is spoken."""
    return [
        {"sentence": str(number), "written": text, "spoken": normalized(text)}
        for number, text in enumerate(texts, start=1)
    ]


def schedules(nfe_steps: Sequence[int]) -> dict[str, list[float]]:
    """Where the steps lie: pruned and swayed as F5-TTS takes them, and evenly for comparison."""
    most = max(nfe_steps)
    found = {f"{most} steps, evenly": list(timesteps(most, epss=False, sway=None))}
    for steps in nfe_steps:
        kind = "pruned and swayed" if steps in PRUNED else "swayed"
        found[f"{steps} steps, {kind}"] = list(timesteps(steps))
    return found


def absence() -> str:
    """What to conclude where F5-TTS isn't installed."""
    found = status("f5")
    return f"F5-TTS is {found.detail}: `{found.remedy}`. Nothing was measured."


def conclusion(study: F5Study | None) -> str:
    """What was learned, in words, or what is missing."""
    return absence() if study is None else study.verdict


def samples(
    study: F5Study | None, texts: Sequence[str] = SENTENCES
) -> Iterator[tuple[str, list[float], str]]:
    """Raw samples for the record: how much longer spoken text is, and those of the study."""
    yield "spoken/written characters", [len(normalized(text)) / len(text) for text in texts], ""
    if study is not None:
        yield from study.samples()
