"""The recognizer's dictionary and bigram language model, made from the grammar."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from pathlib import Path

from workbench.errors import InputError
from workbench.files import write_text
from workbench.finetune.nano.domain import Grammar, training_sentences

SENTENCES = 40_000
DISCOUNT = 0.5  # absolute discounting (Ney et al., 1994)


def write_recognizer_files(folder: Path, sentences: int = SENTENCES) -> None:
    """Writes ``domain.dict`` and ``domain.arpa`` for ``workbench.quality.recognizer``.

    The word pairs are counted on training sentences only; held-out ones have no part in it.
    """
    words = list(Grammar.load().words)
    write_text(folder / "domain.dict", dictionary(words))
    texts = itertools.islice(training_sentences(seed=3), sentences)
    parts = [part.split() for text in texts for part in text.split(", ")]
    write_text(folder / "domain.arpa", arpa(parts, words))


def dictionary(words: list[str]) -> str:
    """Pronunciations of ``words`` from the CMU dictionary that comes with pocketsphinx."""
    from pocketsphinx import get_model_path

    wanted, found = set(words), []
    known = set()
    for line in Path(get_model_path("en-us/cmudict-en-us.dict")).read_text().splitlines():
        entry = line.split(maxsplit=1)[0]
        word = entry.split("(")[0]
        if word in wanted:
            found.append(line)
            known.add(word)
    if wanted - known:
        raise InputError(
            f"no pronunciation for {sorted(wanted - known)}", "use other words in the grammar"
        )
    return "\n".join(found) + "\n"


def arpa(sentences: list[list[str]], words: list[str]) -> str:
    """A bigram model of ``sentences`` in ARPA format, with absolute discounting and backing off."""
    singles: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for sentence in sentences:
        tokens = ["<s>", *sentence, "</s>"]
        singles.update(tokens)
        pairs.update(itertools.pairwise(tokens))
    vocabulary = ["<s>", "</s>", *words]
    predicted = sum(singles[word] + 1 for word in vocabulary[1:])
    unigram = {word: (singles[word] + 1) / predicted for word in vocabulary[1:]}
    seen: dict[str, list[str]] = {}
    for first, second in pairs:
        seen.setdefault(first, []).append(second)
    lines = ["\\data\\", f"ngram 1={len(vocabulary)}", f"ngram 2={len(pairs)}", "", "\\1-grams:"]
    for word in vocabulary:
        own = -99.0 if word == "<s>" else math.log10(unigram[word])
        lines.append(f"{own:.4f}\t{word}\t{_backoff(word, seen, singles, unigram):.4f}")
    lines += ["", "\\2-grams:"]
    for (first, second), count in sorted(pairs.items()):
        share = (count - DISCOUNT) / singles[first]
        lines.append(f"{math.log10(share):.4f}\t{first} {second}")
    return "\n".join([*lines, "", "\\end\\", ""])


def _backoff(
    word: str, seen: dict[str, list[str]], singles: Counter[str], unigram: dict[str, float]
) -> float:
    """log10 of the weight that unseen successors' unigrams get after ``word``."""
    followers = seen.get(word, [])
    if not followers:
        return 0.0
    freed = DISCOUNT * len(followers) / singles[word]
    rest = 1 - sum(unigram[follower] for follower in followers)
    return math.log10(freed / max(rest, 1e-6))
