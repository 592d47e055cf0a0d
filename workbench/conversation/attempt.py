"""An attempt at an answer: what the session and the answer's task tell each other."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from workbench.audio import Audio
from workbench.conversation.events import Answer
from workbench.engines.turns.detectors import Wait


@dataclass
class Attempt:
    """Prepared in the silence after ``speech_end_s``, with all ``audio`` of the turn.

    The task sets ``wait``, ``text`` (None: the recognizer is out), ``outcome`` and ``said``, the
    clauses that the player has begun to play; the session sets ``confirmed`` when the turn is over,
    and ``stopped`` to say why it cancels the task.
    """

    number: int
    speech_end_s: float
    audio: Audio
    wait: Wait | None = None
    text: str | None = None
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    stopped: Answer | None = None
    outcome: Answer | None = None
    said: list[str] = field(default_factory=list)
