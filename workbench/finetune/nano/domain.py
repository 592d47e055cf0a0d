"""The nano voice's sentences: a small grammar, sampled evenly over its words."""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from workbench.errors import InputError
from workbench.paths import data_dir

HELD_OUT_SHARE = 20  # one sentence in 20, by its hash, is never trained on
MIN_HELD_OUT_WORDS = 3
MAX_WORDS = 14
PAIR_SHARE = 0.2  # of the utterances are two sentences
CANDIDATES = 16
OPEN_WORDS = 0.7  # of an open sentence's words come from outside the grammar
_REFERENCE = re.compile(r"<(\w+)>")
_WEIGHT = re.compile(r"\s\*(\d+)$")


class Grammar:
    """Context-free rules read from ``data/nano/grammar.txt``; the file explains its format."""

    def __init__(self, rules: dict[str, list[tuple[str, int]]]) -> None:
        self.rules = rules
        missing = {
            name
            for alternatives in rules.values()
            for text, _ in alternatives
            for name in _REFERENCE.findall(text)
            if name not in rules
        }
        if missing or "sentence" not in rules:
            raise InputError(
                f"the grammar lacks the rules {sorted(missing) or ['sentence']}", "add them"
            )
        self.fixed = frozenset(
            text
            for alternatives in rules.values()
            for text, _ in alternatives
            if not _REFERENCE.search(text)
        )
        self.words = tuple(
            sorted(
                {
                    word
                    for alternatives in rules.values()
                    for text, _ in alternatives
                    for word in _REFERENCE.sub(" ", text).split()
                }
            )
        )

    @staticmethod
    @cache
    def load(path: Path | None = None) -> Grammar:
        """Reads ``path``, by default the shipped grammar."""
        path = path or data_dir() / "nano" / "grammar.txt"
        rules: dict[str, list[tuple[str, int]]] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            name, _, right = line.partition(" = ")
            rules[name.strip()] = [_weighted(text) for text in right.split("|")]
        return Grammar(rules)

    def sample(self, source: random.Random, rule: str = "sentence") -> str:
        """One random expansion of ``rule``."""
        texts, weights = zip(*self.rules[rule], strict=True)
        text = source.choices(texts, weights)[0]
        return _REFERENCE.sub(lambda found: self.sample(source, found.group(1)), text)


def _weighted(text: str) -> tuple[str, int]:
    found = _WEIGHT.search(text.rstrip())
    return _WEIGHT.sub("", text.rstrip()).strip(), int(found.group(1)) if found else 1


def is_held_out(sentence: str) -> bool:
    """Whether a sentence is kept from training; a property of its words alone.

    Of two sentences joined by a comma, either one decides.
    """
    grammar = Grammar.load()
    return any(
        _hash(part) % HELD_OUT_SHARE == 0
        for part in sentence.split(", ")
        if (part not in grammar.fixed)
    )


def training_sentences(seed: int) -> Iterator[str]:
    """Endless, deterministic sentences for training, the same for the same ``seed``.

    Of several candidates the one whose rarest word was rarest so far is taken, so that every
    word of the grammar occurs often. Only the grammar's fixed phrases come more than once.
    """
    grammar = Grammar.load()
    source = random.Random(seed)
    seen: set[str] = set()
    counts: Counter[str] = Counter()
    while True:
        candidates = [
            text
            for text in (_utterance(grammar, source) for _ in range(CANDIDATES))
            if text not in seen and not is_held_out(text)
        ]
        if not candidates:
            continue
        best = max(candidates, key=lambda text: _rarity(text, counts))
        if best not in grammar.fixed:
            seen.add(best)
        counts.update(_words(best))
        yield best


def held_out_sentences(count: int, seed: int = 7) -> list[str]:
    """``count`` distinct sentences that training never sees, plainly sampled from the grammar."""
    grammar = Grammar.load()
    source = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        text = _utterance(grammar, source)
        if is_held_out(text) and len(text.split()) >= MIN_HELD_OUT_WORDS:
            found[text] = None
    return list(found)


def open_words() -> tuple[str, ...]:
    """The common words of ``data/nano/words.txt``."""
    lines = (data_dir() / "nano" / "words.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def open_sentences(seed: int) -> Iterator[str]:
    """Endless strings of words from ``data/nano/words.txt`` and from the grammar.

    They mean nothing; they teach a reader of letters the spelling of English beyond the domain.
    """
    common = open_words()
    known = Grammar.load().words
    source = random.Random(seed)
    while True:
        length = source.randint(3, 9)
        picked = [common if source.random() < OPEN_WORDS else known for _ in range(length)]
        yield " ".join(source.choice(words) for words in picked)


def _utterance(grammar: Grammar, source: random.Random) -> str:
    """One sentence, or now and then two short ones with a pause (a comma) between them."""
    while True:
        text = grammar.sample(source)
        if source.random() < PAIR_SHARE:
            text = f"{text}, {grammar.sample(source)}"
        if len(text.split()) <= MAX_WORDS:
            return text


def _words(text: str) -> list[str]:
    return text.replace(",", "").split()


def _rarity(text: str, counts: Counter[str]) -> float:
    return max(1.0 / (1 + counts[word]) for word in _words(text))


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
