"""Text from tokens as they come: no half characters, and nothing after a stop text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_UNFINISHED = "\ufffd"  # what a decoder writes for bytes that are no character yet


class Detokenizer:
    """Turns tokens into text piece by piece, so that the pieces together are the whole's text."""

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        self._first = 0  # tokens from here on are decoded again, for the spaces between
        self._shown = 0  # tokens whose text is out

    def feed(self, token: int) -> str:
        """The text that ``token`` completes, often empty."""
        self._tokens.append(token)
        text = self._new()
        if text.endswith(_UNFINISHED):
            return ""
        if text:
            self._first, self._shown = self._shown, len(self._tokens)
        return text

    def rest(self) -> str:
        """What is left at the end."""
        text = self._new()
        self._first = self._shown = len(self._tokens)
        return text

    def _new(self) -> str:
        known = self._decode(self._tokens[self._first : self._shown])
        return self._decode(self._tokens[self._first :])[len(known) :]


class StopText:
    """Holds text back that may be the beginning of a stop text; ends before the first whole one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.met = False

    def feed(self, text: str) -> str:
        """What of the text so far may be shown."""
        if self.met:
            return ""
        self._held += text
        places = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if places:
            self.met = True
            shown, self._held = self._held[: min(places)], ""
            return shown
        keep = max((self._overlap(stop) for stop in self._stops), default=0)
        cut = len(self._held) - keep
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown

    def rest(self) -> str:
        """What was held back, once it is sure that no stop text comes."""
        shown, self._held = self._held, ""
        return shown

    def _overlap(self, stop: str) -> int:
        """How many characters at the end of what is held begin ``stop``."""
        longest = min(len(stop) - 1, len(self._held))
        for length in range(longest, 0, -1):
            if self._held.endswith(stop[:length]):
                return length
        return 0
