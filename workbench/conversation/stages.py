"""What a session needs of its stages: small asynchronous protocols.

Real engines run behind them in threads or processes of their own (``threads.py``,
``placement.py``), scripted ones sleep (``scripted.py``). A cancelled call gives up its work as soon
as it can: an engine in a thread ends with the step under way.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from workbench.audio import Audio
from workbench.engines.chat.messages import Message
from workbench.engines.turns.detectors import Wait
from workbench.engines.turns.vad import VoiceActivityDetector


class Recognition(Protocol):
    """Audio in, text out."""

    name: str

    async def transcribe(self, audio: Audio) -> str:
        """The text of ``audio``; empty where nothing was said."""
        ...


class TurnTaking(Protocol):
    """Decides in a silence how long it must last; ``needs_text``: by the words so far.

    ``silence_s`` is its wait where that is always the same, else None.
    """

    name: str
    needs_text: bool
    silence_s: float | None

    async def wait(self, transcript: str) -> Wait:
        """The silence wanted after ``transcript``."""
        ...


class Chat(Protocol):
    """Messages in, an answer out, piece by piece."""

    name: str

    def answer(self, messages: Sequence[Message], max_tokens: int) -> AsyncGenerator[str, None]:
        """The answer's text as it comes."""
        ...


class Synthesis(Protocol):
    """Text in, sound out, chunk by chunk."""

    name: str
    rate_hz: int

    def speak(self, text: str) -> AsyncGenerator[Audio, None]:
        """The sound of ``text`` as it is made."""
        ...


@dataclass(frozen=True)
class Stages:
    """Everything a session runs on. One session at a time uses them; ``close`` frees them."""

    vad: VoiceActivityDetector
    turn: TurnTaking
    recognizer: Recognition
    chat: Chat
    synthesizer: Synthesis
    release: Callable[[], None] = lambda: None
    warm_up_s: float = 0.0

    @property
    def names(self) -> dict[str, str]:
        """What runs in each stage."""
        return {
            "vad": self.vad.name,
            "turn": self.turn.name,
            "recognizer": self.recognizer.name,
            "chat": self.chat.name,
            "synthesizer": self.synthesizer.name,
        }

    def close(self) -> None:
        """Ends threads and processes."""
        self.release()

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
