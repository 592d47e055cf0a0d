"""Confirmed, partly, refuted, or not measurable here: what the evidence says of a claim.

The measured interval is held against the low end of the claimed range, a rounded figure:

    confirmed            the whole interval reaches it
    partly               it helps, and the interval crosses the low end; or the claim speaks of
                         more (every stage, the sound too) than could be shown
    refuted              the whole interval stays below it
    not measurable here  nothing was measured, or nothing that decides, with the reason

A claim of "faster" without a figure ([0, 1]) is confirmed by FASTER and refuted by SAME and
SLOWER. A figure in milliseconds or seconds holds for one machine: it is told, and judged on the
named hardware only; so is a saving in milliseconds that names its hardware.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from workbench.errors import InputError
from workbench.measure.statistics import Interval
from workbench.measure.verdict import Verdict
from workbench.studies.claims.evidence import Evidence, Fact, Missing, Pair
from workbench.studies.claims.figures import FIGURES, Figure
from workbench.studies.claims.ledger import Claim
from workbench.studies.claims.words import claimed_words, figure_words


class Standing(StrEnum):
    """What is said of a claim."""

    CONFIRMED = "confirmed"
    PARTLY = "partly"
    REFUTED = "refuted"
    NOT_MEASURABLE = "not measurable here"


@dataclass(frozen=True)
class Answer:
    """A claim with what is said of it. ``figure`` is measured, in the unit of the claim's metric.

    ``on`` names the engine, the machine and what was compared; empty where nothing was measured.
    A figure beside "not measurable here" is told, and decides nothing.
    """

    claim: Claim
    standing: Standing
    reason: str
    figure: Interval | None
    on: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, as the command line's last line has it."""
        claim, figure = self.claim, self.figure
        return {
            "id": claim.id,
            "answer": str(self.standing),
            "claimed": list(claim.expected),
            "measured": figure.value if figure else None,
            "interval": [figure.low, figure.high] if figure else None,
            "n": figure.n if figure else None,
            "reason": self.reason,
            "measured_on": dict(self.on) or None,
            "system": claim.system,
            "optimization": claim.model_dump(mode="json")["optimization"],
            "stage": claim.stage,
            "metric": claim.metric,
            "says": claim.says,
            "hardware": claim.hardware,
        }


_ABSOLUTE = ("ttfa_ms", "ms", "seconds", "chars_per_s")
_AT_MOST = ("wer_increase", "allocations", "ttfa_ms", "ms", "seconds")


def answer(
    claim: Claim,
    evidence: Evidence,
    *,
    metric: str | None = None,
    sound: bool = False,
    part: str = "",
) -> Answer:
    """What ``evidence`` says of ``claim``, in words too.

    ``metric`` is the figure of the samples to look at (None: the study's own); ``sound`` says that
    the claim promises the sound as well. ``part`` is what the measurement lacks of what the claim
    speaks of: then it can confirm, and not refute.
    """
    if isinstance(evidence, Missing):
        return _told(claim, evidence, metric)
    found = _measured(claim, evidence, metric)
    standing, reason = _decided(claim, found, evidence.on)
    if standing is Standing.CONFIRMED:
        more = _more(claim, evidence, sound)
        if more:
            standing, reason = Standing.PARTLY, f"{reason}; {more}"
    if part and standing is Standing.REFUTED:
        standing, reason = Standing.NOT_MEASURABLE, f"{reason}; {part}"
    if found.interval is not None:
        reason += _beside(evidence, metric)
    elsewhere = _elsewhere(claim, evidence.on)
    if elsewhere and standing is not Standing.NOT_MEASURABLE:
        reason = f"{reason}; {elsewhere}"
    return Answer(claim, standing, reason, found.interval, evidence.on)


def _measured(claim: Claim, evidence: Pair | Fact, metric: str | None) -> Figure:
    try:
        return FIGURES[claim.metric](evidence, metric)
    except InputError as problem:  # a study whose trials have no such figure
        return Figure(None, Verdict.AMBIGUOUS, problem.what)


def _told(claim: Claim, missing: Missing, metric: str | None) -> Answer:
    """Not measurable, with what the same switches do to the engine at hand."""
    instead = missing.instead
    if instead is None:
        return Answer(claim, Standing.NOT_MEASURABLE, missing.reason, None, {})
    found = _measured(claim, instead, metric).interval
    reason = missing.reason
    if found is not None:
        engine = instead.on["engine"] or "the engine at hand"
        reason = f"{reason}; on {engine} it is {figure_words(claim.metric, found)}"
    return Answer(claim, Standing.NOT_MEASURABLE, reason, found, instead.on if found else {})


def _decided(claim: Claim, found: Figure, on: Mapping[str, str]) -> tuple[Standing, str]:
    if found.interval is None or found.verdict in (
        Verdict.DISTURBED,
        Verdict.FAILED,
    ):
        why = found.reason or "nothing was measured"
        broken = found.verdict in (Verdict.DISTURBED, Verdict.FAILED)
        return Standing.NOT_MEASURABLE, f"{found.verdict.lower()}: {why}" if broken else why
    words = figure_words(claim.metric, found.interval)
    absolute = claim.metric in _ABSOLUTE or (claim.metric == "ms_saved" and claim.hardware)
    if absolute and not _same_hardware(claim, on):
        named = claim.hardware or "the machine of the claim, which it doesn't name"
        return Standing.NOT_MEASURABLE, f"{words} here; an absolute figure holds for {named} only"
    if found.reason:  # too few trials
        return Standing.NOT_MEASURABLE, f"{words}, but {found.reason}"
    if claim.metric in _AT_MOST:
        return _at_most(claim, found.interval, words)
    if claim.expected[0] == 0:
        return _at_all(claim, found, words)
    return _at_least(claim, found, words)


def _at_least(claim: Claim, found: Figure, words: str) -> tuple[Standing, str]:
    """The low end is to be reached."""
    low, interval = _rounded_down(claim.expected[0]), found.interval
    claimed = claimed_words(claim)
    assert interval is not None
    if interval.low >= low:
        return Standing.CONFIRMED, f"{words}; claimed {claimed}"
    if claim.metric == "fails":
        return Standing.REFUTED, words
    if interval.high < low:
        helps = {
            Verdict.FASTER: "it helps, but by less than claimed",
            Verdict.SLOWER: "it does the opposite",
        }.get(found.verdict, "no gain to be seen")
        return Standing.REFUTED, f"{helps}: {words}; claimed {claimed}"
    if found.verdict is Verdict.FASTER:
        return (
            Standing.PARTLY,
            f"it helps, maybe by less than claimed: {words}; claimed {claimed}",
        )
    return Standing.NOT_MEASURABLE, f"undecided: {words} covers both nothing and {claimed}"


def _at_all(claim: Claim, found: Figure, words: str) -> tuple[Standing, str]:
    """A gain is claimed without a figure; or, with [0, 0], only that nothing is lost."""
    no_cost = claim.expected[1] == 0
    if found.verdict is Verdict.AMBIGUOUS:
        return Standing.NOT_MEASURABLE, f"undecided: {words}"
    if found.verdict is Verdict.FASTER:
        return Standing.CONFIRMED, words
    if found.verdict is Verdict.SAME:
        return (Standing.CONFIRMED if no_cost else Standing.REFUTED), f"no difference: {words}"
    return Standing.REFUTED, f"it does the opposite: {words}"


def _at_most(claim: Claim, interval: Interval, words: str) -> tuple[Standing, str]:
    """The high end is not to be passed."""
    high, claimed = claim.expected[1], claimed_words(claim)
    if interval.high <= high:
        return Standing.CONFIRMED, f"{words}; claimed {claimed}"
    if interval.low > high:
        return Standing.REFUTED, f"more than claimed: {words}; claimed {claimed}"
    return Standing.NOT_MEASURABLE, f"undecided: {words}; claimed {claimed}"


def _more(claim: Claim, evidence: Evidence, sound: bool) -> str:
    """What a confirmed claim says beyond what was shown; often nothing."""
    if sound and isinstance(evidence, Pair) and not evidence.kept:
        unknown = "whether the sound is as good wasn't checked"
        return unknown if evidence.kept is None else "the sound didn't stay as promised"
    if claim.stage == "all":
        return "shown for speech synthesis only, and claimed for every stage"
    return ""


def _beside(evidence: Pair | Fact, metric: str | None) -> str:
    """The verdict on another arm that belongs to the answer; often nothing."""
    if not isinstance(evidence, Pair) or not evidence.beside:
        return ""
    judged = evidence.study.judgement(evidence.beside, metric, evidence.against)
    return f"; {evidence.beside}: {judged}"


def _elsewhere(claim: Claim, on: Mapping[str, str]) -> str:
    """Says that the claim's hardware is another one; often nothing."""
    if claim.hardware is None or _same_hardware(claim, on):
        return ""
    return f"claimed for an {claim.hardware}, measured on {on['machine']}"


def _same_hardware(claim: Claim, on: Mapping[str, str]) -> bool:
    return claim.hardware is not None and claim.hardware.lower() in on.get("machine", "").lower()


def _rounded_down(figure: float) -> float:
    """The least value that rounds to ``figure``, which is given with two significant digits."""
    if figure == 0:
        return 0.0
    return figure - 10.0 ** (math.floor(math.log10(figure)) - 1) / 2
