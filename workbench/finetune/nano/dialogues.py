"""Questions and answers of the nano domain, from ``data/nano/dialogues.txt``."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workbench.errors import InputError
from workbench.finetune.nano.domain import MAX_WORDS, Grammar, is_held_out
from workbench.paths import data_dir

_REFERENCE = re.compile(r"<(\w+)(\.\d+)?>")
_WEIGHT = re.compile(r"\s\*(\d+)$")


@dataclass(frozen=True)
class Pair:
    """What a user says and what is answered; ``pattern`` matches all answers that would be right.

    The question's words must come back as they were; words that an answer adds may be any.
    """

    question: str
    answer: str
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class _Rule:
    question: str
    answers: tuple[tuple[str, int], ...]
    weight: int


class Dialogues:
    """The rules of ``dialogues.txt``, sampled with the domain's grammar."""

    def __init__(self, rules: tuple[_Rule, ...], grammar: Grammar) -> None:
        self._rules, self._grammar = rules, grammar
        self._weights = [rule.weight for rule in rules]
        texts = [text for rule in rules for text in (rule.question, *dict(rule.answers))]
        names = {name for text in texts for name, _ in _REFERENCE.findall(text)}
        if missing := sorted(names - grammar.rules.keys()):
            raise InputError(f"dialogues.txt uses the rule {missing[0]!r}", "add it to grammar.txt")
        literal = {word for text in texts for word in _words(_REFERENCE.sub(" ", text))}
        if strange := sorted(literal - set(grammar.words)):
            raise InputError(
                f"dialogues.txt has words that grammar.txt lacks: {', '.join(strange)}",
                "say it in the grammar's words, which the voice and the recognizer know",
            )

    @staticmethod
    @cache
    def load(path: Path | None = None) -> Dialogues:
        """Reads ``path``, by default the shipped rules; InputError for a line that is none."""
        path = path or data_dir() / "nano" / "dialogues.txt"
        rules = []
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            question, arrow, answers = line.partition(" => ")
            if not arrow:
                raise InputError(f"{path.name}: no => in {line!r}", "write question => answer")
            text, weight = _weighted(question)
            rules.append(_Rule(text, tuple(map(_weighted, answers.split("|"))), weight))
        return Dialogues(tuple(rules), Grammar.load())

    def sample(self, source: random.Random) -> Pair:
        """One question with one answer."""
        while True:
            rule = source.choices(self._rules, self._weights)[0]
            bound: dict[str, str] = {}
            question = self._filled(rule.question, bound, source)
            texts, weights = zip(*rule.answers, strict=True)
            asked = dict(bound)
            answer = self._filled(source.choices(texts, weights)[0], bound, source)
            if len(question.split()) <= MAX_WORDS >= len(answer.split()):
                return Pair(question, answer, self._pattern(texts, asked))

    def _filled(self, text: str, bound: dict[str, str], source: random.Random) -> str:
        def words(found: re.Match[str]) -> str:
            key = found.group(0)
            if key not in bound:
                bound[key] = self._grammar.sample(source, found.group(1))
            return bound[key]

        return _REFERENCE.sub(words, text)

    def _pattern(self, texts: tuple[str, ...], bound: dict[str, str]) -> re.Pattern[str]:
        """Answers with the question's words where they must be, and any words elsewhere."""

        def one(text: str) -> str:
            parts, at = [], 0
            for found in _REFERENCE.finditer(text):
                parts.append(re.escape(text[at : found.start()]))
                known = bound.get(found.group(0))
                parts.append(r"[\w' ]+" if known is None else re.escape(known))
                at = found.end()
            return "".join([*parts, re.escape(text[at:])])

        return re.compile("|".join(f"(?:{one(text)})" for text in texts))


def training_pairs(seed: int) -> Iterator[Pair]:
    """Endless pairs whose questions training may see."""
    source, dialogues = random.Random(seed), Dialogues.load()
    while True:
        pair = dialogues.sample(source)
        if not is_held_out(pair.question):
            yield pair


def held_out_pairs(count: int, seed: int = 7) -> list[Pair]:
    """``count`` pairs with distinct questions that training never sees."""
    source, dialogues = random.Random(seed), Dialogues.load()
    found: dict[str, Pair] = {}
    while len(found) < count:
        pair = dialogues.sample(source)
        if is_held_out(pair.question):
            found.setdefault(pair.question, pair)
    return list(found.values())


def vocabulary() -> tuple[str, ...]:
    """Every word that a question or an answer can have."""
    return Grammar.load().words


def _weighted(text: str) -> tuple[str, int]:
    found = _WEIGHT.search(text.rstrip())
    return _WEIGHT.sub("", text.rstrip()).strip(), int(found.group(1)) if found else 1


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()
