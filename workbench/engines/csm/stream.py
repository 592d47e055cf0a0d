"""One request's chunks as they come, and the whole speech at their end."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from workbench.engines.speech import Chunk, Speech
from workbench.errors import InputError


class CsmStream:
    """An iterator over the chunks of one request; ``speech`` is the whole at its end."""

    def __init__(self, chunks: Generator[Chunk | Speech]) -> None:
        self._chunks = chunks
        self._speech: Speech | None = None

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        item = next(self._chunks)
        if isinstance(item, Speech):
            self._speech = item
            raise StopIteration
        return item

    @property
    def speech(self) -> Speech:
        """The finished speech. Raises InputError while chunks are still to come."""
        if self._speech is None:
            raise InputError(
                "the stream isn't finished", "read all its chunks before asking for the speech"
            )
        return self._speech

    def close(self) -> None:
        """Stops generating; the engine is free again."""
        self._chunks.close()
