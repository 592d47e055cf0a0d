"""What a chat model takes and gives: messages in, text piece by piece out, with its times."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from workbench.errors import InputError

Role = Literal["system", "user", "assistant"]
Ended = Literal["eos", "length", "stop"]
MAX_TOKENS = 128  # FERN's range is 100 to 150


@dataclass(frozen=True)
class Message:
    """One utterance of a conversation."""

    role: Role
    text: str


Messages = str | Sequence[Message]  # a string is one message of the user


@dataclass(frozen=True)
class TextChunk:
    """Text as it became known ``at_ms`` after the request."""

    text: str
    at_ms: float
    index: int


@dataclass(frozen=True)
class Reply:
    """An answer with how it came about.

    ``ended`` is ``eos`` where the model ended by itself, ``length`` where ``max_tokens`` cut it
    and ``stop`` at a stop text. ``tokens`` were generated (None where a service doesn't tell),
    ``tokens_ms`` is when each was known, empty where they come several at a time from a service;
    ``chunks_ms`` is when each chunk of text was. Times count from the request.
    """

    text: str
    ended: Ended
    tokens: int | None
    prompt_tokens: int | None
    tokens_ms: tuple[float, ...]
    chunks_ms: tuple[float, ...]
    generation_ms: float
    model: str
    weights: str
    implementation: str

    @property
    def ttft_ms(self) -> float:
        """Time to first token: request to the first token, or to a service's first chunk."""
        return min([*self.tokens_ms[:1], *self.chunks_ms[:1]], default=self.generation_ms)

    @property
    def tpot_ms(self) -> float | None:
        """Time per output token after the first, None where tokens have no times or are one."""
        if len(self.tokens_ms) < 2:
            return None
        return (self.tokens_ms[-1] - self.tokens_ms[0]) / (len(self.tokens_ms) - 1)

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens of the answer per second of the whole request, None where unknown."""
        return None if self.tokens is None else self.tokens / (self.generation_ms / 1000)


class ReplyStream:
    """An iterator of chunks; ``reply`` is the whole once they are through.

    ``chunks`` is a generator that returns the ``Reply``; closing the stream closes it.
    """

    def __init__(self, chunks: Generator[TextChunk, None, Reply]) -> None:
        self._chunks = chunks
        self._reply: Reply | None = None

    def __iter__(self) -> Iterator[TextChunk]:
        return self

    def __next__(self) -> TextChunk:
        try:
            return next(self._chunks)
        except StopIteration as end:
            if end.value is not None:
                self._reply = end.value
            raise

    @property
    def reply(self) -> Reply:
        """The finished answer; InputError while chunks are still to come."""
        if self._reply is None:
            raise InputError("the answer isn't finished", "iterate over the stream to its end")
        return self._reply

    def close(self) -> None:
        """Stops generating and frees what the stream holds; for the thread that iterates."""
        self._chunks.close()

    def finish(self) -> Reply:
        """Runs to the end; returns the whole."""
        for _ in self:
            pass
        return self.reply


class ChatModel(Protocol):
    """Messages in, an answer out.

    Greedy decoding is ``temperature=0``; sampling with the same ``seed`` gives the same answer
    again from a local model. ``stop`` are texts at which the answer ends, themselves left out.
    """

    name: str
    implementation: str
    weights: str

    def stream(
        self,
        messages: Messages,
        *,
        max_tokens: int = MAX_TOKENS,
        stop: Sequence[str] = (),
        temperature: float = 0.0,
        seed: int = 0,
    ) -> ReplyStream:
        """Answers chunk by chunk. Work begins with the first ``next``."""
        ...

    def reply(
        self,
        messages: Messages,
        *,
        max_tokens: int = MAX_TOKENS,
        stop: Sequence[str] = (),
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Reply:
        """Answers and returns the whole."""
        ...

    def warm_up(self) -> float:
        """Answers once; returns the seconds it took."""
        ...

    def close(self) -> None:
        """Frees connections and buffers."""
        ...


def checked(
    messages: Messages, max_tokens: int, stop: Sequence[str], temperature: float
) -> list[Message]:
    """The request as a list of messages; InputError for one that no model can answer."""
    listed = [Message("user", messages)] if isinstance(messages, str) else list(messages)
    if not listed or not listed[-1].text.strip():
        raise InputError("nothing to answer", "pass a message with text")
    for message in listed:
        if message.role not in ("system", "user", "assistant"):
            raise InputError(
                f"a message of the role {message.role!r}", "use system, user or assistant"
            )
    if listed[-1].role != "user":
        raise InputError(f"the last message is the {listed[-1].role}'s", "end with the user's")
    if max_tokens < 1:
        raise InputError(f"max_tokens={max_tokens}", "use at least 1")
    if temperature < 0:
        raise InputError(f"temperature={temperature}", "use 0 (greedy) or more")
    if isinstance(stop, str) or not all(stop):
        raise InputError(f"stop={stop!r}", "pass a list of texts that aren't empty")
    return listed
