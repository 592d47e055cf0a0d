"""What was said so far, for the chat model: as much as was heard of it, on both sides."""

from __future__ import annotations

from collections import deque

from workbench.conversation.attempt import Attempt
from workbench.conversation.settings import Settings
from workbench.engines.chat.messages import Message


class Memory:
    """The last ``history`` messages. An answer counts as far as it was played."""

    def __init__(self, settings: Settings) -> None:
        self._system = [Message("system", settings.system)] if settings.system else []
        self._messages: deque[Message] = deque(maxlen=settings.history)

    def __len__(self) -> int:
        return len(self._messages)

    def with_user(self, text: str) -> list[Message]:
        """The conversation with ``text`` as the user's newest words.

        What the user said before and got no answer to is the beginning of the same message.
        """
        messages = list(self._messages)
        while messages and messages[0].role != "user":  # its question is forgotten already
            messages.pop(0)
        if messages and messages[-1].role == "user":
            text = f"{messages.pop().text} {text}"
        return [*self._system, *messages, Message("user", text)]

    def add(self, attempt: Attempt) -> None:
        """Remembers a turn that is over, and the clauses that were played."""
        if not attempt.confirmed.is_set() or not attempt.text:
            return
        user = self.with_user(attempt.text)[-1]
        if self._messages and self._messages[-1].role == "user":
            self._messages.pop()
        self._messages.append(user)
        if attempt.said:
            self._messages.append(Message("assistant", " ".join(attempt.said)))
