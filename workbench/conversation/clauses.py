"""Cuts a growing answer into clauses, so that the first is spoken while the rest is thought of."""

from __future__ import annotations

import re

from workbench.errors import InputError

MIN_WORDS = 3  # a shorter clause at a comma waits for more: each costs the voice a new beginning
MAX_WORDS = 12  # a longer one without any sign is cut between words
# A sign counts once white space follows it: "3.5" and "a,b" are no ends.
_SENTENCE = re.compile(r"[.!?…][\"'”’)]*(?=\s)")
_CLAUSE = re.compile(r"[,;:—–](?=\s)")


class ClauseCutter:
    """Text in, in pieces of any length; whole clauses out.

    A clause ends with a sentence, at a comma after ``min_words``, or after ``max_words``. How the
    text was cut into pieces doesn't matter.
    """

    def __init__(self, min_words: int = MIN_WORDS, max_words: int = MAX_WORDS) -> None:
        if not 1 <= min_words <= max_words:
            raise InputError(
                f"clauses of {min_words} to {max_words} words", "let 1 <= min_words <= max_words"
            )
        self._min, self._max = min_words, max_words
        self._text = ""

    def feed(self, text: str) -> list[str]:
        """The clauses that ``text`` completes."""
        self._text += text
        found = []
        while (end := self._end()) is not None:
            found.append(self._text[:end])
            self._text = self._text[end:]
        return [clause for clause in map(_clean, found) if clause]

    def rest(self) -> str:
        """What is left at the answer's end; may be empty."""
        left, self._text = _clean(self._text), ""
        return left

    def _end(self) -> int | None:
        """Where the first clause ends, None while it may go on."""
        ends = [found.end() for found in _SENTENCE.finditer(self._text)][:1]
        for found in _CLAUSE.finditer(self._text):
            if len(self._text[: found.end()].split()) >= self._min:
                ends.append(found.end())
                break
        words = list(re.finditer(r"\S+(?=\s)", self._text))
        if len(words) >= self._max:
            ends.append(words[self._max - 1].end())
        return min(ends, default=None)


def _clean(text: str) -> str:
    """White space collapsed; empty where there is nothing to say."""
    text = " ".join(text.split())
    return text if any(character.isalnum() for character in text) else ""
