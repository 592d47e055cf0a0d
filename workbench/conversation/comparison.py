"""Serial against overlapped on the same stages, in turns: the measurement of notebook 53."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from tqdm.auto import tqdm

from workbench.audio import Audio
from workbench.conversation.figures import TIMES, TurnFigures
from workbench.conversation.settings import Settings
from workbench.conversation.stages import Stages, TurnTaking
from workbench.conversation.talk import Talk, talk
from workbench.conversation.targets import reached, target_rows, times
from workbench.conversation.waterfall import Span
from workbench.errors import InputError
from workbench.hardware.fingerprint import fingerprint, label
from workbench.measure import findings
from workbench.measure.statistics import Ratio, interleaved, paired_ratio

SERIAL, SAME_WAIT, OVERLAPPED = "serial", "overlapped, same wait", "overlapped"


@dataclass(frozen=True)
class Way:
    """One way to run the conversation."""

    settings: Settings
    turn: TurnTaking


@dataclass(frozen=True)
class ModeComparison:
    """``talks[arm][question]`` has one talk a round; those of one round make a pair.

    ``seen`` has the rounds in which all arms answered all questions; only those count.
    """

    talks: Mapping[str, Mapping[str, Sequence[Talk]]]
    stages: Mapping[str, str]
    waits: Mapping[str, str]
    machine: str
    warm_up_s: float

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, the baseline first."""
        return tuple(self.talks)

    @property
    def rounds(self) -> int:
        """How often each arm heard each question."""
        return len(next(iter(next(iter(self.talks.values())).values())))

    @cached_property
    def seen(self) -> tuple[int, ...]:
        """The rounds in which everything was answered aloud."""
        return tuple(
            number
            for number in range(self.rounds)
            if all(made[number].first for of in self.talks.values() for made in of.values())
        )

    def turns(self, arm: str) -> list[TurnFigures]:
        """The first answered turn of every talk that counts."""
        return [
            turn
            for made in self.talks[arm].values()
            for number in self.seen
            if (turn := made[number].first) is not None
        ]

    def by_round(self, arm: str, metric: str = "first audio") -> list[float]:
        """``metric`` of each round that counts, the mean over the questions, in ms."""
        found = []
        for number in self.seen:
            firsts = [made[number].first for made in self.talks[arm].values()]
            values = times([one for one in firsts if one], metric)
            found.append(sum(values) / len(values))
        return found

    def ratio(self, other: str, metric: str = "first audio") -> Ratio:
        """How many times sooner ``other`` is than the first arm, paired by round.

        Raises InputError for fewer than two rounds that count.
        """
        if len(self.seen) < 2:
            raise InputError(
                f"{len(self.seen)} of {self.rounds} rounds were answered in full",
                "see the failures in the talks, or ask other questions",
            )
        return paired_ratio(self.by_round(self.arms[0], metric), self.by_round(other, metric))

    def first_audio_ms(self) -> dict[str, list[float]]:
        """Times to first audio of every talk that counts, by arm."""
        return {arm: times(self.turns(arm), "first audio") for arm in self.arms}

    @property
    def typical(self) -> dict[str, Talk]:
        """One question by all arms, in the round of the last arm's median first audio."""
        by_round = self.by_round(self.arms[-1])
        order = sorted(range(len(by_round)), key=by_round.__getitem__)
        number = self.seen[order[(len(order) - 1) // 2]]
        question = next(iter(self.talks[self.arms[0]]))
        return {arm: self.talks[arm][question][number] for arm in self.arms}

    @property
    def labels(self) -> dict[str, Audio]:
        """The typical talk as one hears it, both sides and the wait between, by arm."""
        return {
            f"{arm}: first audio {made.first.first_audio_ms:,.0f} ms after the question": made.sound
            for arm, made in self.typical.items()
            if made.first is not None
        }

    @property
    def caption(self) -> str:
        """Stages, machine and n."""
        names = " · ".join(f"{name} {what}" for name, what in self.stages.items() if name != "turn")
        return f"{names} · {self.machine} · n = {len(self.seen)} interleaved rounds"

    @property
    def spans(self) -> dict[str, list[Span]]:
        """The typical talk's time line, by arm."""
        return {arm: made.spans() for arm, made in self.typical.items()}

    @property
    def stage_finding(self) -> str:
        """What the overlapped answer waits for longest."""
        turns = self.turns(self.arms[-1])
        parts = {
            "the end of the turn": _median(times(turns, "turn detection")),
            "the recognizer": _median(times(turns, "recognizer")),
            "the chat model": _median(times(turns, "chat")),
            "the synthesizer": _median(times(turns, "synthesizer")),
        }
        longest = max(parts, key=parts.__getitem__)
        return f"Overlapped, the longest wait is for {longest}: {parts[longest]:,.0f} ms"

    @property
    def finding(self) -> str:
        """How much sooner the overlapped conversation answers."""
        return f"Overlapped: first audio {findings.sooner(self.ratio(self.arms[-1]))}"

    @property
    def verdict(self) -> str:
        """What was learned, in words."""
        first, last = self.arms[0], self.arms[-1]
        medians = {arm: _median(times(self.turns(arm), "first audio")) for arm in self.arms}
        parts = [
            f"{self.finding}: {medians[last]:,.0f} ms after the end of speech ({self.waits[last]}) "
            f"instead of {medians[first]:,.0f} ms ({self.waits[first]})."
        ]
        if len(self.arms) > 2:
            same = self.arms[1]
            parts.append(
                f"Overlapping alone, with the same wait: {findings.sooner(self.ratio(same))}, "
                f"{medians[same]:,.0f} ms."
            )
        goal = reached("first audio", medians[last])
        parts.append(
            f"Of FERN's targets for first audio it reaches '{goal}'."
            if goal
            else "It reaches none of FERN's targets for first audio here."
        )
        return " ".join(parts)

    @property
    def failures(self) -> list[str]:
        """What stages did wrong, each once."""
        return sorted({
            f"{failure.stage}: {failure.error}"
            for of in self.talks.values()
            for made in of.values()
            for one in made
            for failure in one.failures
        })  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        """FERN's targets beside what was measured."""
        return target_rows({arm: self.turns(arm) for arm in self.arms})

    def samples(self) -> Iterator[tuple[str, list[float], str]]:
        """Raw samples for the record: name, values, unit."""
        for arm in self.arms:
            for name in TIMES:
                found = [getattr(turn, name) for turn in self.turns(arm)]
                values = [value for value in found if value is not None]
                if values:
                    yield f"{name.removesuffix('_ms').replace('_', ' ')}/{arm}", values, "ms"
        yield "warm-up", [self.warm_up_s], "s"


def usual_ways(serial: TurnTaking, overlapped: TurnTaking, **settings: Any) -> dict[str, Way]:
    """Serial with its turn detector; overlapped with the same, and with its own."""
    ways = {SERIAL: Way(Settings(mode="serial", **settings), serial)}
    ours = Settings(mode="overlapped", **settings)
    return {**ways, SAME_WAIT: Way(ours, serial), OVERLAPPED: Way(ours, overlapped)}


def compare_modes(
    stages: Stages,
    questions: Mapping[str, Audio],
    ways: Mapping[str, Way],
    *,
    rounds: int,
    seed: int = 0,
    paced: bool = False,
    simulated: bool = False,
) -> ModeComparison:
    """Asks every question in every way once a round, in random order, each in real time.

    ``paced=False``: the sound of an answer is taken as it comes, so that a trial doesn't last
    until it is played. Raises InputError for no questions, or fewer than two rounds.
    """
    if not questions or not ways or rounds < 2:
        raise InputError(
            f"{len(questions)} questions, {len(ways)} ways, {rounds} rounds",
            "pass at least one question and one way, and two rounds",
        )
    calls = {
        (name, text): partial(
            talk,
            replace(stages, turn=way.turn),
            audio,
            way.settings,
            paced=paced,
            simulated=simulated,
        )
        for name, way in ways.items()
        for text, audio in questions.items()
    }
    made = interleaved(calls, rounds, seed, wrap=partial(tqdm, desc="rounds", unit="round"))
    return ModeComparison(
        talks={name: {text: made[name, text] for text in questions} for name in ways},
        stages=stages.names,
        waits={name: _wait(way.turn) for name, way in ways.items()},
        machine=label(fingerprint()),
        warm_up_s=stages.warm_up_s,
    )


def _wait(turn: TurnTaking) -> str:
    if turn.silence_s is None:
        return f"{turn.name} turn detection"
    return f"{1000 * turn.silence_s:.0f} ms wait"


def _median(values: Sequence[float]) -> float:
    return float(sorted(values)[(len(values) - 1) // 2])
