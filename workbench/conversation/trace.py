"""The trace of a conversation: its events in order, kept, checked and written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from workbench.conversation.checker import TraceChecker
from workbench.conversation.events import Event
from workbench.files import write_json

Kind = TypeVar("Kind", bound=Event)


class Trace:
    """Events as they happened; a session's ``on_event`` can be its ``append``."""

    def __init__(self, events: list[Event] | None = None) -> None:
        self.events: list[Event] = list(events or ())

    def append(self, event: Event) -> None:
        """Keeps one more event."""
        self.events.append(event)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)

    def of(self, kind: type[Kind]) -> list[Kind]:
        """The events of one type."""
        return [event for event in self.events if isinstance(event, kind)]

    def validate(self) -> None:
        """Raises TraceError for the first event that is out of order or contradicts another."""
        checker = TraceChecker()
        for event in self.events:
            checker.check(event)
        checker.finish()

    def to_list(self) -> list[dict[str, Any]]:
        """All events as JSON values."""
        return [event.to_dict() for event in self.events]

    def write(self, path: Path | str) -> Path:
        """Writes all events as one JSON list, whole or not at all."""
        path = Path(path)
        write_json(path, self.to_list())
        return path
