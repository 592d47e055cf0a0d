"""Was a switch's promise about the sound kept: the contract held against what was heard.

A verdict is True, False, or None where the clips can't tell; always with the reason in words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.optimizations.switch import DISTRIBUTION, EXACT, Contract, Promise
from workbench.quality.wer import WerIncrease, signed
from workbench.studies.sound.likeness import Likeness, Traits
from workbench.studies.sound.words import Words

EQUAL_SHARE = 0.9  # of greedy clips within tolerance: the rest are ties that rounding decides
SAMPLE_TOLERANCE = 1e-3  # of full scale: -60 dB
CLIPPED_SHARE = 1e-3  # of samples; fewer are single peaks that nobody hears
LOUDNESS_LU = 3.0  # plainly louder or softer; broadcasters allow 1 (EBU R 128)
DURATION_RATIO = (0.8, 1.25)  # of all clips together, where other draws shift a few percent
CHANCE = 0.01  # more rarely than this, equal arms would differ so in what they end or keep silent

_LOOSENESS = tuple(Promise)  # from the strictest to the loosest


@dataclass(frozen=True)
class Facts:
    """What was heard of an arm (``after``) against another (``before``).

    ``greedy`` and ``sampled`` compare their clips; ``before``, ``after`` and ``words`` are of the
    sampled ones, which is what users hear. ``wordless`` says why there are no ``words``.
    """

    greedy: Likeness
    sampled: Likeness
    before: Traits
    after: Traits
    words: Words | None
    wordless: str = ""


def combined(contracts: Sequence[Contract]) -> Contract:
    """What several switches promise together: the loosest promise, the largest allowed rise.

    Without any it is exact.
    """
    promises = [contract.promise for contract in contracts] or [EXACT.promise]
    return Contract(
        max(promises, key=_LOOSENESS.index),
        max((contract.wer_increase for contract in contracts), default=0.0),
    )


def verdict(contract: Contract, facts: Facts) -> tuple[bool | None, str]:
    """Whether ``contract`` was kept, and why."""
    if contract.promise is Promise.EXACT:
        return _exact(facts)
    if same_sound(facts):
        return True, _EVERY_SAMPLE.format(facts.greedy.clips + facts.sampled.clips)
    wrong = _unsound(facts.before, facts.after)
    if wrong:
        return False, wrong
    if contract.promise is Promise.TOLERANCE:
        return _tolerance(facts)
    if facts.words is None:
        return None, f"no word error rate: {facts.wordless}"
    return _rise(facts.words.increase, contract.wer_increase)


def same_sound(facts: Facts) -> bool:
    """Whether every clip is the same: codes and samples, bit for bit."""
    return all(found.identical == found.clips for found in (facts.greedy, facts.sampled))


_EVERY_SAMPLE = "all {} clips are the same, sample for sample"


def _exact(facts: Facts) -> tuple[bool, str]:
    if same_sound(facts):
        return True, _EVERY_SAMPLE.format(facts.greedy.clips + facts.sampled.clips)
    for kind, found in (("greedy", facts.greedy), ("sampled", facts.sampled)):
        if found.equal < found.clips:
            return False, (
                f"codes differ in {found.clips - found.equal} of {found.clips} {kind} clips, "
                f"first at frame {found.first_divergence:g} in the median"
            )
    differing = sum(found.clips - found.identical for found in (facts.greedy, facts.sampled))
    largest = max(found.max_difference or 0.0 for found in (facts.greedy, facts.sampled))
    return False, f"samples differ in {differing} clips, by up to {largest:.1g}, at equal codes"


def _tolerance(facts: Facts) -> tuple[bool, str]:
    found = facts.greedy
    codes = f"greedy codes equal in {found.equal} of {found.clips} clips"
    if found.equal < EQUAL_SHARE * found.clips:
        return False, f"{codes}, fewer than {EQUAL_SHARE:.0%}"
    differences = [one.max_difference for one in (found, facts.sampled)]
    largest = max(one for one in differences if one is not None)
    if largest > SAMPLE_TOLERANCE:
        return False, f"samples differ by up to {largest:.1g} at equal codes"
    # Other draws are allowed, a broken sampler isn't: greedy clips wouldn't show it.
    if facts.words is not None and facts.words.increase.interval[0] > DISTRIBUTION.wer_increase:
        return False, f"sampled clips: word error rate {facts.words.increase}"
    return True, f"{codes}, samples " + (f"within {largest:.1g}" if largest else "too")


def _unsound(before: Traits, after: Traits) -> str:
    """What is plainly wrong with the sound; empty where nothing is."""
    if _more_often(before.silent, after.silent, before.clips, after.clips):
        return f"{after.silent} of {after.clips} clips are silent"
    if after.clipped_share > max(CLIPPED_SHARE, 2 * before.clipped_share):
        return f"{after.clipped_share:.1%} of samples are clipped"
    unended = before.clips - before.ended, after.clips - after.ended
    if _more_often(*unended, before.clips, after.clips):
        return (
            f"only {after.ended} of {after.clips} clips ended by themselves, "
            f"before {before.ended} of {before.clips}"
        )
    low, high = DURATION_RATIO
    ratio = after.duration_s / before.duration_s if before.duration_s else 1.0
    if not low <= ratio <= high:
        return f"speech takes {ratio:.2f} times as long"
    if before.loudness_lufs is not None and after.loudness_lufs is not None:
        change = after.loudness_lufs - before.loudness_lufs
        if abs(change) > LOUDNESS_LU:
            return f"the loudness changed by {change:+.1f} LU".replace("-", "−")
    return ""


def _more_often(before: int, after: int, clips_before: int, clips_after: int) -> bool:
    """Whether ``after`` is more than chance makes of ``before`` (Fisher's exact test)."""
    from scipy.stats import fisher_exact

    table = [[after, clips_after - after], [before, clips_before - before]]
    return bool(fisher_exact(table, alternative="greater").pvalue < CHANCE)


def _rise(increase: WerIncrease, limit: float) -> tuple[bool | None, str]:
    low, high = increase.interval
    allowed = f"{signed(limit)} allowed"
    if low > limit:
        return False, f"word error rate {increase}; {allowed}"
    if high <= limit:
        return True, f"word error rate {increase}; {allowed}"
    return None, f"not shown: word error rate {increase}; {allowed}; {would_tell(increase, limit)}"


def would_tell(increase: WerIncrease, limit: float) -> str:
    """How many sentences would bring the interval to one side of ``limit``.

    Its width falls with the square root of their number; its middle is taken to stay.
    """
    low, high = increase.interval
    margin = abs(limit - increase.value)
    if margin < (high - low) / 40:  # more than 400 times the sentences
        return "the rise is too near to it for any number of sentences to tell"
    reach = high - increase.value if increase.value < limit else increase.value - low
    needed = increase.sentences * (reach / margin) ** 2
    step = 10 ** max(0, math.floor(math.log10(needed)) - 1)
    return f"about {math.ceil(needed / step) * step} sentences would tell"
