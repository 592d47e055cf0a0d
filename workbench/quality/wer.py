"""Word error rate, with an interval, and a recognizer that the project didn't train."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.paths import data_dir

RESAMPLES = 2000
SILENCE_DBFS = -60.0  # audio that never gets louder holds no words
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class WordErrorRate:
    """``value`` = ``errors`` / ``words``; ``interval`` is the 95 % bootstrap over sentences."""

    value: float
    interval: tuple[float, float]
    errors: int
    words: int
    sentences: int


def normalized_words(text: str) -> list[str]:
    """``text`` as lower-case words without punctuation or accents; digits one by one as words."""
    text = unicodedata.normalize("NFKD", text.replace("’", "'")).lower()
    text = "".join(character for character in text if not unicodedata.combining(character))
    for digit, word in enumerate(_DIGITS):
        text = text.replace(str(digit), f" {word} ")
    return [word for word in re.sub(r"[^a-z' ]", " ", text).split() if word.strip("'")]


def edit_distance(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Fewest substitutions, deletions and insertions between two lists of words (Levenshtein)."""
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
    if len(references) != len(hypotheses):
        raise InputError(
            f"{len(references)} references and {len(hypotheses)} hypotheses",
            "pass one hypothesis for each reference",
        )
    wanted = [normalized_words(text) for text in references]
    words = np.array([len(text) for text in wanted])
    if not words.sum():
        raise InputError("the references hold no words", "pass what was meant to be said")
    errors = np.array(
        [
            edit_distance(text, normalized_words(heard))
            for text, heard in zip(wanted, hypotheses, strict=True)
        ]
    )
    source = np.random.default_rng(seed)
    picks = source.integers(0, len(words), (RESAMPLES, len(words)))
    rates = errors[picks].sum(1) / np.maximum(words[picks].sum(1), 1)
    low, high = np.percentile(rates, [2.5, 97.5])
    return WordErrorRate(
        float(errors.sum() / words.sum()),
        (float(low), float(high)),
        int(errors.sum()),
        int(words.sum()),
        len(words),
    )


class SphinxRecognizer:
    """pocketsphinx with its US English sounds, a given dictionary and bigram language model.

    By default it knows the nano voice's domain: the words and word pairs of its grammar. Such a
    narrow recognizer forgives what an open one would not, so its rates compare voices with each
    other and with their source, and say little about free text.
    """

    RATE_HZ = 16_000

    def __init__(self, dictionary: Path | None = None, language_model: Path | None = None) -> None:
        folder = data_dir() / "nano"
        dictionary = dictionary or folder / "domain.dict"
        language_model = language_model or folder / "domain.arpa"
        for path in (dictionary, language_model):
            if not path.is_file():
                raise InputError(f"no file {path}", "check the path, or reinstall the package")
        try:
            from pocketsphinx import Decoder, get_model_path
        except ImportError as problem:
            raise InputError(
                "pocketsphinx is not installed", "pip install 'workbench[asr]'"
            ) from problem
        self._decoder = Decoder(
            hmm=get_model_path("en-us/en-us"),
            dict=str(dictionary),
            lm=str(language_model),
            samprate=self.RATE_HZ,
            loglevel="FATAL",
        )

    def transcribe(self, audio: Audio) -> str:
        """The words heard in ``audio``, lower case; empty where there are none."""
        if audio.peak_dbfs < SILENCE_DBFS:
            return ""  # the recognizer would hear its likeliest words in the noise
        pause = np.zeros(self.RATE_HZ // 10, np.float32)
        samples = np.concatenate([pause, audio.resampled(self.RATE_HZ).samples, pause])
        # The recognizer adapts its level to what it heard before: bring all to one.
        level = np.sqrt(np.mean(np.square(samples)))
        samples = np.clip(samples * (0.08 / max(level, 1e-4)), -1, 1)
        self._decoder.start_utt()
        self._decoder.process_raw(
            (samples * 32767).astype(np.int16).tobytes(), no_search=False, full_utt=True
        )
        self._decoder.end_utt()
        heard = self._decoder.hyp()
        return heard.hypstr if heard else ""
