"""Word and character error rates with intervals, and by how much one voice errs more than another.

Intervals are 95 % bootstrap intervals over sentences (Bisani & Ney 2004): sentences are drawn
again with all their errors, because errors within one belong together. A sentence that is in the
list several times (said with several seeds) is drawn with all of its clips.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.errors import InputError

RESAMPLES = 2000
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class WordErrorRate:
    """``value`` = ``errors`` / ``words``; ``interval`` is the 95 % bootstrap over sentences."""

    value: float
    interval: tuple[float, float]
    errors: int
    words: int
    sentences: int


@dataclass(frozen=True)
class CharacterErrorRate:
    """``value`` = ``errors`` / ``characters``, spaces between words counted; see WordErrorRate."""

    value: float
    interval: tuple[float, float]
    errors: int
    characters: int
    sentences: int


@dataclass(frozen=True)
class WerIncrease:
    """The second list's word error rate less the first's, of the same sentences.

    ``interval`` is the 95 % bootstrap over sentences, widened as Student's t is against the
    normal, since few sentences are too much alike (Hesterberg 2015), and never narrower than
    ``value`` ± 3 / words: where no sentence differs the bootstrap sees no spread at all, but n
    trials without an error still allow a rate of 3 / n (the rule of three, Hanley &
    Lippman-Hand 1983).
    """

    value: float
    interval: tuple[float, float]
    words: int
    sentences: int

    def __str__(self) -> str:
        low, high = self.interval
        return f"{signed(self.value)}, {signed(low)} to {signed(high)}"


def signed(rate: float) -> str:
    """``rate`` with two decimals and a sign, a true minus: "−0.01"; plain zero without."""
    text = f"{rate:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "−")


def normalized_words(text: str) -> list[str]:
    """``text`` as lower-case words without punctuation or accents; digits one by one as words."""
    text = unicodedata.normalize("NFKD", text.replace("’", "'")).lower()
    text = "".join(character for character in text if not unicodedata.combining(character))
    for digit, word in enumerate(_DIGITS):
        text = text.replace(str(digit), f" {word} ")
    return [word for word in re.sub(r"[^a-z' ]", " ", text).split() if word.strip("'")]


def edit_distance(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Fewest substitutions, deletions and insertions between two sequences (Levenshtein)."""
    row = list(range(len(hypothesis) + 1))
    for i, wanted in enumerate(reference, 1):
        previous, row[0] = row[0], i
        for j, heard in enumerate(hypothesis, 1):
            cost = min(row[j] + 1, row[j - 1] + 1, previous + (wanted != heard))
            previous, row[j] = row[j], cost
    return row[-1]


def word_error_rate(
    references: Sequence[str], hypotheses: Sequence[str], seed: int = 0
) -> WordErrorRate:
    """Word error rate of whole texts, both sides normalized, with a bootstrap interval.

    Raises InputError for lists of different length or references without a word.
    """
    errors, words = _counts(references, hypotheses, normalized_words)
    return WordErrorRate(
        float(errors.sum() / words.sum()),
        _interval(errors, words, seed),
        int(errors.sum()),
        int(words.sum()),
        len(words),
    )


def character_error_rate(
    references: Sequence[str], hypotheses: Sequence[str], seed: int = 0
) -> CharacterErrorRate:
    """Character error rate of the normalized words with single spaces between; see above.

    A word that is almost right counts little here, and in full in the word error rate.
    """
    errors, characters = _counts(references, hypotheses, _normalized_characters)
    return CharacterErrorRate(
        float(errors.sum() / characters.sum()),
        _interval(errors, characters, seed),
        int(errors.sum()),
        int(characters.sum()),
        len(characters),
    )


def word_error_increase(
    references: Sequence[str], before: Sequence[str], after: Sequence[str], seed: int = 0
) -> WerIncrease:
    """By how much ``after`` has a higher word error rate than ``before``, sentence by sentence.

    What makes a sentence hard counts in both and cancels out: the interval is narrower than
    the two rates' own would let one think.

    Raises InputError for lists of different length or references without a word.
    """
    first, words = _counts(references, before, normalized_words)
    second, _ = _counts(references, after, normalized_words)
    value = float((second - first).sum() / words.sum())
    low, high = _interval(second - first, words, seed)
    wider, least = _widening(len(words)), 3 / float(words.sum())
    interval = value - max(wider * (value - low), least), value + max(wider * (high - value), least)
    return WerIncrease(value, interval, int(words.sum()), len(words))


def _counts(
    references: Sequence[str],
    hypotheses: Sequence[str],
    units: Callable[[str], Sequence[str]],
) -> tuple[np.ndarray, np.ndarray]:
    """Errors and units of each sentence ``[S]``, equal sentences taken together."""
    if len(references) != len(hypotheses):
        raise InputError(
            f"{len(references)} references and {len(hypotheses)} hypotheses",
            "pass one hypothesis for each reference",
        )
    places = {text: place for place, text in enumerate(dict.fromkeys(references))}
    errors, lengths = np.zeros((2, len(places)), np.int64)
    for text, heard in zip(references, hypotheses, strict=True):
        wanted = units(text)
        errors[places[text]] += edit_distance(wanted, units(heard))
        lengths[places[text]] += len(wanted)
    if not lengths.sum():
        raise InputError("the references hold no words", "pass what was meant to be said")
    return errors, lengths


def _interval(errors: np.ndarray, lengths: np.ndarray, seed: int) -> tuple[float, float]:
    picks = np.random.default_rng(seed).integers(0, len(lengths), (RESAMPLES, len(lengths)))
    rates = errors[picks].sum(1) / np.maximum(lengths[picks].sum(1), 1)
    low, high = np.percentile(rates, [2.5, 97.5])
    return float(low), float(high)


def _widening(sentences: int) -> float:
    from scipy.special import ndtri, stdtrit

    n = max(sentences, 2)
    return float(np.sqrt(n / (n - 1)) * stdtrit(n - 1, 0.975) / ndtri(0.975))


def _normalized_characters(text: str) -> str:
    return " ".join(normalized_words(text))
