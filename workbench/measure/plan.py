"""How a study is to run: how many trials, when it may stop, and what counts as a difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from workbench.errors import InputError

Layout = Literal["auto", "interleaved", "blocked"]

MIN_TRIALS = 10  # from fewer, nothing is said
_ROUNDS_PER_START = 10
_FEWEST_STARTS = 4  # by default
_LOOK_ERROR = 0.1  # of the allowed error, what the look in the middle may spend


@dataclass(frozen=True)
class Plan:
    """A study's plan, fixed before its first trial.

    ``threshold`` is the smallest difference that matters (0.01: one per cent); ``confidence``
    holds for each arm over all looks together. ``trials`` is the most rounds, ``seconds`` the most
    time from the first of them on, later starts counted (None: no limit); an arm stops earlier
    once it has a verdict and its ratio is known to ``precision`` (half the interval's width,
    relative). ``seed`` decides the order of arms in each round and the seed of each trial.
    ``trial_s`` and ``start_s`` are the limits after which a worker counts as hung.

    ``starts`` is how many processes each arm goes through, one after another, the rounds being
    divided among them (None: one for every 10 rounds, at least 4). Two processes of one arm differ
    by up to one per cent for as long as they live, which no number of trials in them shows; so
    more starts narrow the interval where more trials don't. ``passes`` is how many pieces of work
    make one trial of an arm: in each pass of a round every arm does one, so that a machine which
    drifts within a second does so for all of them; a sample is their mean. ``layout`` is
    ``interleaved`` (all workers up, arms in turn in every round), ``blocked`` (one worker up at a
    time, which runs all rounds of its start) or ``auto``: interleaved where the memory allows it.

    Raises InputError for values that make no study.
    """

    trials: int = 120
    seconds: float | None = None
    threshold: float = 0.01
    confidence: float = 0.95
    precision: float = 0.05
    seed: int = 0
    trial_s: float = 300.0
    start_s: float = 900.0
    starts: int | None = None
    passes: int = 1
    layout: Layout = "auto"

    def __post_init__(self) -> None:
        for wrong, what, remedy in (
            (self.trials < 2, f"{self.trials} trials", "an interval needs at least 2"),
            (
                self.starts is not None and self.starts < 2,
                f"{self.starts} starts",
                "one process says nothing about how processes of an arm differ: use 2 or more",
            ),
            (self.passes < 1, f"{self.passes} passes", "a trial is at least 1 piece of work"),
            (
                not 0 <= self.threshold < 1,
                f"a threshold of {self.threshold}",
                "use a share such as 0.01",
            ),
            (not 0.5 <= self.confidence < 1, f"a confidence of {self.confidence}", "use 0.95"),
            (self.precision <= 0, f"a precision of {self.precision}", "use a share above 0"),
            (
                min(self.trial_s, self.start_s) <= 0 or (self.seconds or 1) <= 0,
                "a time limit that is not positive",
                "use seconds above 0",
            ),
            (
                self.layout not in ("auto", "interleaved", "blocked"),
                f"a layout {self.layout!r}",
                "use auto, interleaved or blocked",
            ),
        ):
            if wrong:
                raise InputError(what, remedy)

    @property
    def parts(self) -> tuple[range, ...]:
        """The rounds of each start, in order; no two differ by more than one round."""
        starts = self.starts or max(_FEWEST_STARTS, self.trials // _ROUNDS_PER_START)
        count = min(starts, self.trials)
        ends = [self.trials * number // count for number in range(count + 1)]
        return tuple(map(range, ends, ends[1:]))

    @property
    def look(self) -> int | None:
        """After how many starts arms may rest that have their verdict: half of them.

        None where that would be fewer than 4 starts, from which only huge differences show.
        """
        half = len(self.parts) // 2
        return half if half >= _FEWEST_STARTS else None

    def level(self, *, early: bool) -> float:
        """Confidence of an interval at the look in the middle, or at the end.

        Looking at growing data and stopping at the first difference finds one where there is none
        more often than an interval promises. Here there are at most two looks, stated before,
        which share the error so that ``confidence`` holds over both (Bonferroni; that the early
        look takes little of it is O'Brien and Fleming's idea, 1979): a tenth for the one in the
        middle, which is there for the large differences, the rest for the end. A budget of
        seconds may end a study sooner, and adds no look.
        """
        error = 1 - self.confidence
        if self.look is None:
            return self.confidence
        return 1 - error * (_LOOK_ERROR if early else 1 - _LOOK_ERROR)
