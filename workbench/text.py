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
