"""How a study is to run: how many trials, when it may stop, and what counts as a difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from workbench.errors import InputError

Layout = Literal["auto", "interleaved", "blocked"]

MIN_TRIALS = 10  # from fewer, a bootstrap interval is too narrow for a verdict
_FIRST_LOOK = 20  # before which no study stops on what it found


@dataclass(frozen=True)
class Plan:
    """A study's plan, fixed before its first trial.

    ``threshold`` is the smallest difference that matters (0.01: one per cent); ``confidence``
    holds for each arm over all looks together. ``trials`` is the most rounds, ``seconds`` the most
    time for them (None: no limit); an arm stops earlier once it has a verdict and its ratio is
    known to ``precision`` (half the interval's width, relative). ``seed`` decides the order of
    arms in each round and the seed of each trial. ``trial_s`` and ``start_s`` are the limits after
    which a worker counts as hung. ``layout`` is ``interleaved`` (all workers up, arms in turn in
    every round), ``blocked`` (one worker up at a time, turns of at most ``block`` trials) or
    ``auto``: interleaved where the memory allows it.

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
    layout: Layout = "auto"
    block: int = 15

    def __post_init__(self) -> None:
        for wrong, what, remedy in (
            (self.trials < 2, f"{self.trials} trials", "an interval needs at least 2"),
            (self.block < 1, f"blocks of {self.block} trials", "use 1 or more"),
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
    def looks(self) -> tuple[int, ...]:
        """After how many rounds the samples are looked at: a quarter, a half and all of them.

        A look before the 20th round is left out.
        """
        parts = (-(-self.trials // 4), -(-self.trials // 2))
        return (*(n for n in parts if _FIRST_LOOK <= n < self.trials), self.trials)

    @property
    def look_confidence(self) -> float:
        """Confidence of one look's interval, so that ``confidence`` holds over all of them.

        Looking at growing data again and again and stopping at the first difference finds one
        where there is none more often than an interval promises. The looks are few and stated
        before, and share the error equally (Bonferroni; compare Jennison and Turnbull, "Interim
        analyses: the repeated confidence interval approach", 1989). A budget of seconds may move
        a look, never add one.
        """
        return 1 - (1 - self.confidence) / len(self.looks)
