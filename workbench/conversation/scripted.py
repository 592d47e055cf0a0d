"""Stages that play a part instead of working: each takes exactly as long as it is told.

For tests, for simulated hours (``soak.py``), and where a model is missing: ``ScriptedChat()`` says
again what it heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

import numpy as np

from workbench.audio import Audio
from workbench.conversation.stages import Stages
from workbench.conversation.threads import ThreadedTurnTaking
from workbench.engines.chat.messages import Message
from workbench.engines.turns.detectors import SilenceTurnDetector
from workbench.engines.turns.vad import RATE_HZ

WORD_S = 0.3  # as long as a word lasts in all of these
_LOUD = 0.01  # -40 dBFS


class LevelVad:
    """Speech is what is louder than -40 dBFS; frames of 20 ms."""

    name = "level"
    rate_hz = RATE_HZ
    frame_samples = 320
    threshold = 0.5

    def probability(self, frame: np.ndarray) -> float:
        """1 for a loud frame ``[320]``, else 0."""
        return float(np.sqrt(np.mean(np.square(frame))) > _LOUD)

    def reset(self) -> None:
        """Has no state."""


class ScriptedRecognition:
    """Hears a word in every 0.3 s of loud sound; takes ``first_s`` and ``rtf`` of its length."""

    name = "scripted"

    def __init__(
        self,
        first_s: float = 0.05,
        rtf: float = 0.05,
        words: Callable[[int], str] = lambda count: " ".join(["word"] * count),
    ) -> None:
        self._first_s, self._rtf, self._words = first_s, rtf, words

    async def transcribe(self, audio: Audio) -> str:
        """As many words as there is time for."""
        await asyncio.sleep(self._first_s + self._rtf * audio.duration_s)
        loud_s = np.count_nonzero(np.abs(audio.samples) > _LOUD) / audio.rate_hz
        return self._words(round(loud_s / WORD_S))


class ScriptedChat:
    """Answers by ``answer`` (default: what was said), a word a token."""

    def __init__(
        self,
        answer: Callable[[str], str] = lambda text: text,
        first_s: float = 0.0,
        token_s: float = 0.0,
        name: str = "echo",
    ) -> None:
        self.name = name
        self._answer, self._first_s, self._token_s = answer, first_s, token_s
        self.open = 0

    async def answer(
        self, messages: Sequence[Message], max_tokens: int
    ) -> AsyncGenerator[str, None]:
        """The answer word by word."""
        self.open += 1
        try:
            wait_s = self._first_s
            for number, word in enumerate(self._answer(messages[-1].text).split()[:max_tokens]):
                await asyncio.sleep(wait_s)
                wait_s = self._token_s
                yield word if number == 0 else f" {word}"
        finally:
            self.open -= 1


class ScriptedSynthesis:
    """A tone of 0.3 s a word in frames of 80 ms, the first after ``first_s``."""

    name = "scripted"
    rate_hz = 24_000

    def __init__(self, first_s: float = 0.05, frame_s: float = 0.02) -> None:
        self._first_s, self._frame_s = first_s, frame_s
        self.open = 0

    async def speak(self, text: str) -> AsyncGenerator[Audio, None]:
        """The tone frame by frame."""
        self.open += 1
        try:
            wait_s = self._first_s
            for frame in range(round(len(text.split()) * WORD_S / 0.08)):
                await asyncio.sleep(wait_s)
                wait_s = self._frame_s
                time_s = (np.arange(1920) + 1920 * frame) / self.rate_hz
                tone = 0.2 * np.sin(2 * np.pi * 220 * time_s)
                yield Audio(tone.astype(np.float32), self.rate_hz)
        finally:
            self.open -= 1


def scripted_stages(
    *,
    silence_s: float = 0.7,
    recognizer: ScriptedRecognition | None = None,
    chat: ScriptedChat | None = None,
    synthesizer: ScriptedSynthesis | None = None,
) -> Stages:
    """All stages scripted, the turn ending after ``silence_s``."""
    return Stages(
        vad=LevelVad(),
        turn=ThreadedTurnTaking(SilenceTurnDetector(silence_s), needs_text=False),
        recognizer=recognizer or ScriptedRecognition(),
        chat=chat or ScriptedChat(first_s=0.1, token_s=0.02),
        synthesizer=synthesizer or ScriptedSynthesis(),
    )


def spoken(words: Sequence[int], pause_s: float = 0.4, rate_hz: int = RATE_HZ) -> Audio:
    """A tone that stands for so many words, then a pause, then so many, …; 0.2 s before all."""
    pieces = [np.zeros(round(0.2 * rate_hz))]
    for count in words:
        time_s = np.arange(round(count * WORD_S * rate_hz)) / rate_hz
        square = 0.2 * np.sign(np.cos(2 * np.pi * 180 * time_s))  # every sample is loud
        pieces += [square, np.zeros(round(pause_s * rate_hz))]
    return Audio(np.concatenate(pieces[:-1]).astype(np.float32), rate_hz)
