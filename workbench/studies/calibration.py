"""Does the instrument keep its promise: how often it is wrong, and what it finds.

    calibration = calibrate("outputs/calibration", simulated=200, real=20)
    calibration.real.false_verdicts          # Rate: 0 of 20 (0–17 %)

A study without any difference (A/A) must end in FASTER or SLOWER in 5 % of cases at most, and a
slow-down of 3 % must be found in 90 %. Simulated studies draw trials and processes from normal
distributions of known spread; real ones speak with an engine: a baseline, the same once more, and
the same slowed down by a known share. After each real study all is written; a calibration that
was interrupted goes on where it ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import InputError, RecordError
from workbench.files import write_json
from workbench.measure.arm import Arm
from workbench.measure.plan import Plan
from workbench.measure.speech_arm import METRIC
from workbench.measure.study import CONTROL, Study
from workbench.measure.study_record import write_study
from workbench.measure.trials import run_study
from workbench.measure.verdict import Verdict, start_estimate, student_interval
from workbench.measure.workloads import arm_for
from workbench.studies.ablation import defaults

FILE = "calibration.json"
SCHEMA_VERSION = 1
SLOWED = "slowed"
TEXTS = ("good morning, your table is ready at noon", "the train to paris leaves on friday at ten")
MAX_FRAMES = 40  # pairs of 10 frames scatter by 13 %, of 40 by 5 %: the first are cold
NOISES = (0.02, 0.03, 0.05)  # of a trial, standard deviation of the logarithm
PROCESS_SPREADS = (0.0, 0.005, 0.007, 0.01, 0.02)  # between processes of one arm

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Rate:
    """``count`` of ``n`` studies, with Clopper and Pearson's exact 95 % interval (1934)."""

    count: int
    n: int
    low: float
    high: float

    @classmethod
    def of(cls, count: int, n: int) -> Rate:
        """The rate; without studies it may be anything."""
        from scipy.stats import binomtest

        if not n:
            return cls(0, 0, 0.0, 1.0)
        low, high = binomtest(count, n).proportion_ci(0.95, method="exact")
        return cls(count, n, float(low), float(high))

    def __str__(self) -> str:
        return f"{self.count} of {self.n} ({100 * self.low:.1f}–{100 * self.high:.1f} %)"


@dataclass(frozen=True)
class Simulated:
    """Simulated studies of one noise and one spread between processes.

    ``false_verdicts`` counts A/A studies that claim a difference, ``same`` those that end SAME,
    ``found`` the studies with a slow-down that end SLOWER.
    """

    noise: float
    process_spread: float
    false_verdicts: Rate
    same: Rate
    found: Rate


@dataclass(frozen=True)
class RealStudy:
    """One real study: what the samples say of the control and of the slowed arm.

    ``disturbed`` is what else the machine did. ``noise`` and ``process_spread`` are estimates,
    from the pairs of baseline and control, of the standard deviations of one arm's logarithms.
    """

    number: int
    control: str
    slowed: str
    control_ratio: tuple[float, float, float]
    slowed_ratio: tuple[float, float, float]
    rounds: int
    disturbed: tuple[str, ...]
    noise: float
    process_spread: float
    duration_s: float


@dataclass(frozen=True)
class Real:
    """Real studies; rates are of those that nothing was seen to disturb, the others are counted."""

    studies: tuple[RealStudy, ...]

    @property
    def quiet(self) -> list[RealStudy]:
        """Studies that nothing was seen to disturb."""
        return [study for study in self.studies if not study.disturbed]

    @property
    def false_verdicts(self) -> Rate:
        """Studies in which the baseline differs from itself."""
        claims = [study.control in (Verdict.FASTER, Verdict.SLOWER) for study in self.quiet]
        return Rate.of(sum(claims), len(claims))

    @property
    def found(self) -> Rate:
        """Studies in which the slowed arm was found to be slower."""
        claims = [study.slowed == Verdict.SLOWER for study in self.quiet]
        return Rate.of(sum(claims), len(claims))


@dataclass(frozen=True)
class Calibration:
    """``settings`` are the plan, the slow-down, and what was spoken by which engine."""

    settings: Mapping[str, Any]
    simulated: tuple[Simulated, ...]
    real: Real
    path: Path

    def summary(self) -> dict[str, Any]:
        """All rates as JSON values."""
        return {
            "simulated": [asdict(case) for case in self.simulated],
            "real": {
                "false_verdicts": asdict(self.real.false_verdicts),
                "found": asdict(self.real.found),
                "disturbed": len(self.real.studies) - len(self.real.quiet),
                "studies": [asdict(study) for study in self.real.studies],
            },
            "record": str(self.path),
        }


def calibrate(
    folder: Path | str,
    *,
    simulated: int = 200,
    real: int = 20,
    engine: str = "csm-nano",
    slow_down: float = 0.03,
    plan: Plan | None = None,
    load: Mapping[str, Any] | None = None,
    progress: Progress = lambda words: None,
) -> Calibration:
    """Simulates ``simulated`` studies of each case, then runs real ones until there are ``real``.

    ``folder`` gets ``calibration.json`` and the records of each real study. Raises InputError
    where it holds a calibration with other settings, RecordError where that is torn.
    """
    if simulated < 0 or real < 0 or slow_down <= 0:
        raise InputError(
            f"{simulated} simulated and {real} real studies of a slow-down of {slow_down}",
            "use numbers of 0 or more and a share such as 0.03",
        )
    folder, plan = (
        Path(folder),
        plan or Plan(starts=defaults.CALIBRATION_STARTS, passes=defaults.CALIBRATION_PASSES),
    )
    settings = {
        "plan": asdict(plan),
        "slow_down": slow_down,
        "engine": engine,
        "load": dict(load or {}),
        "texts": list(TEXTS),
        "max_frames": MAX_FRAMES,
    }
    path = folder / FILE
    studies = _kept(path, settings)
    cases = tuple(simulate(simulated, plan, slow_down)) if simulated else ()
    for case in cases:
        progress(
            f"simulated, noise {case.noise:.1%}, processes {case.process_spread:.1%}: "
            f"false verdicts {case.false_verdicts}, found {case.found}"
        )
    while True:
        calibration = Calibration(settings, cases, Real(tuple(studies)), path)
        _write(calibration)
        if len(studies) >= real:
            return calibration
        number = len(studies)
        study = _run(number, settings, plan, progress)
        write_study(folder / f"study-{number:03}", study)
        studies.append(_told(number, study))
        progress(f"real study {number + 1} of {real}: {study.verdict}")


# -- Simulated ---------------------------------------------------------------------------------


def simulate(studies: int, plan: Plan, slow_down: float, seed: int = 0) -> list[Simulated]:
    """``studies`` A/A studies and as many with a slow-down, for each noise and process spread."""
    random = np.random.default_rng(seed)
    cases = []
    for noise in NOISES:
        for spread in PROCESS_SPREADS:
            control = _simulated_verdicts(studies, plan, noise, spread, 0.0, random)
            slowed = _simulated_verdicts(studies, plan, noise, spread, slow_down, random)
            claims = np.isin(control, [Verdict.FASTER, Verdict.SLOWER])
            cases.append(
                Simulated(
                    noise,
                    spread,
                    Rate.of(int(claims.sum()), studies),
                    Rate.of(int((control == Verdict.SAME).sum()), studies),
                    Rate.of(int((slowed == Verdict.SLOWER).sum()), studies),
                )
            )
    return cases


def _simulated_verdicts(
    studies: int,
    plan: Plan,
    noise: float,
    spread: float,
    slow_down: float,
    random: np.random.Generator,
) -> np.ndarray:
    """Verdicts ``[studies]``, as ``judge`` and ``converged`` would have them."""
    means = np.stack(
        [
            start_estimate(_log_ratios((studies, len(part)), noise, spread, random))
            for part in plan.parts
        ],
        axis=-1,
    )  # [studies, starts]
    means -= np.log1p(slow_down)
    verdicts, _ = _verdicts(means, plan, early=False)
    if plan.look is not None:
        early, half_widths = _verdicts(means[:, : plan.look], plan, early=True)
        rests = (early != Verdict.AMBIGUOUS) & (half_widths <= plan.precision)
        verdicts = np.where(rests, early, verdicts)
    return verdicts


def _log_ratios(
    shape: tuple[int, int], noise: float, spread: float, random: np.random.Generator
) -> np.ndarray:
    """Logarithms ``[studies, rounds]`` of ratios of two arms' times, one process of each."""
    processes = spread * random.standard_normal((2, shape[0], 1))
    trials = processes + noise * random.standard_normal((2, *shape))
    return np.asarray(trials[0] - trials[1])


def _verdicts(means: np.ndarray, plan: Plan, *, early: bool) -> tuple[np.ndarray, np.ndarray]:
    """Verdicts and half widths ``[studies]`` of intervals over ``means`` ``[studies, starts]``."""
    _, low, high = student_interval(means, plan.level(early=early))
    edge = np.log1p(plan.threshold)
    verdicts = np.select(
        [low > edge, high < -edge, (low >= -edge) & (high <= edge)],
        [Verdict.FASTER, Verdict.SLOWER, Verdict.SAME],
        Verdict.AMBIGUOUS,
    )
    return verdicts, (high - low) / 2


# -- Real --------------------------------------------------------------------------------------


def _run(number: int, settings: Mapping[str, Any], plan: Plan, progress: Progress) -> Study:
    """Study ``number``, with a seed of its own."""

    def arm(name: str) -> Arm:
        return arm_for(
            "speech", name, settings["engine"], settings["texts"], load=settings["load"],
            max_frames=settings["max_frames"],
        )  # fmt: skip

    slowed = replace(
        arm(SLOWED),
        target="workbench.measure.slowed_arm:SlowedArm",
        kwargs={**arm(SLOWED).kwargs, "slow_down": settings["slow_down"]},
    )
    return run_study(
        f"calibration {number}",
        arm("baseline"),
        [slowed],
        metric=METRIC,
        plan=replace(plan, seed=plan.seed + plan.trials * plan.passes * number),
        progress=progress,
    )


def _told(number: int, study: Study) -> RealStudy:
    """What is to be kept of a study; InputError where an arm failed, which tells nothing."""
    for name in (study.baseline.arm.name, CONTROL, SLOWED):
        error = study.result(name).error
        if error:
            raise InputError(f"arm {name!r} failed: {error.message}", "see the study's records")
    control, slowed = (study.undisturbed(name) for name in (CONTROL, SLOWED))
    noise, spread = _spreads(study)

    def figures(judgement: Any) -> tuple[float, float, float]:
        ratio = judgement.ratio
        return (ratio.value, ratio.low, ratio.high)

    return RealStudy(
        number,
        str(control.verdict),
        str(slowed.verdict),
        figures(control),
        figures(slowed),
        len(study.baseline.rounds),
        study.seen,
        noise,
        spread,
        study.duration_s,
    )


def _spreads(study: Study) -> tuple[float, float]:
    """Noise of a trial and spread between processes of one arm, by analysis of variance."""
    groups = [np.log(first) - np.log(other) for first, other in study.pairs(CONTROL).groups()]
    sizes = [len(group) for group in groups]
    if len(groups) < 2 or min(sizes) < 2:
        return 0.0, 0.0
    within = sum(((group - group.mean()) ** 2).sum() for group in groups)
    within /= sum(size - 1 for size in sizes)
    between = np.var([group.mean() for group in groups], ddof=1) - within / np.mean(sizes)
    return float(np.sqrt(within / 2)), float(np.sqrt(max(between, 0.0) / 2))


# -- The file ----------------------------------------------------------------------------------


def _write(calibration: Calibration) -> None:
    write_json(
        calibration.path,
        {
            "schema_version": SCHEMA_VERSION,
            "settings": calibration.settings,
            **{key: calibration.summary()[key] for key in ("simulated", "real")},
        },
    )


def _kept(path: Path, settings: Mapping[str, Any]) -> list[RealStudy]:
    """Real studies that an earlier run left in ``path``."""
    if not path.is_file():
        return []
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        version, before = kept["schema_version"], kept["settings"]
        if version != SCHEMA_VERSION:
            raise RecordError(
                f"{path} has schema version {version!r}, this workbench reads {SCHEMA_VERSION}",
                "calibrate into another folder",
            )
        studies = [_study(entry) for entry in kept["real"]["studies"]]
    except (ValueError, KeyError, TypeError) as problem:
        raise RecordError(
            f"{path} can't be used: {problem}", "calibrate into another folder"
        ) from problem
    if before != settings:
        raise InputError(
            f"{path} is a calibration with other settings", "calibrate into another folder"
        )
    return studies


def _study(entry: Mapping[str, Any]) -> RealStudy:
    lists: Sequence[str] = ("control_ratio", "slowed_ratio", "disturbed")
    return RealStudy(**{**entry, **{name: tuple(entry[name]) for name in lists}})
