"""Text as a user gives it: checked, normalized, split into sentences."""

from __future__ import annotations

import re
import unicodedata

from workbench.errors import InputError

MAX_TEXT_CHARS = 5_000  # about six minutes of speech; longer texts belong in a script of segments
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)]*\s+")


def checked(text: str) -> str:
    """``text`` with Unicode composed (NFC) and white space collapsed.

    Raises InputError for text that is empty, longer than ``MAX_TEXT_CHARS``, or holds control
    characters other than white space.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise InputError(
            f"the text has {len(text):,} characters; {MAX_TEXT_CHARS:,} are the limit",
            "split it into parts and synthesize one at a time",
        )
    for position, character in enumerate(text):
        if unicodedata.category(character) in ("Cc", "Cs") and not character.isspace():
            raise InputError(
                f"the text has the control character U+{ord(character):04X} at {position}",
                "remove it",
            )
    text = " ".join(unicodedata.normalize("NFC", text).split())
    if not any(character.isalnum() for character in text):
        raise InputError(
            "the text is empty" if not text else f"the text {text[:40]!r} has nothing to say",
            "pass a text with at least one letter or digit",
        )
    return text


def sentences(text: str) -> list[str]:
    """``text`` cut after sentence-ending punctuation; never empty for a checked text."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]


def segments(text: str, chars: int) -> list[str]:
    """``text`` in parts of at most ``chars`` characters: whole sentences where they fit.

    A longer sentence is cut after a comma, else between words; a longer word stays whole.
    """
    pieces: list[str] = []
    for sentence in sentences(text):
        pieces += [sentence] if len(sentence) <= chars else _clauses(sentence, chars)
    parts: list[str] = []
    for piece in pieces:
        if parts and len(parts[-1]) + 1 + len(piece) <= chars:
            parts[-1] += f" {piece}"
        else:
            parts.append(piece)
    # A part without a letter or digit (a stray quote, say) has nothing to speak.
    return [part for part in parts if any(character.isalnum() for character in part)]


def _clauses(sentence: str, chars: int) -> list[str]:
    """A long sentence cut after its commas, and between words where that isn't enough."""
    pieces: list[str] = []
    for clause in re.split(r"(?<=[,;:])\s+", sentence):
        pieces += [clause] if len(clause) <= chars else clause.split()
    return pieces
