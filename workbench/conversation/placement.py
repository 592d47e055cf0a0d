"""Where each engine works: threads or processes, with its share of the processor, loaded and warm.

Engines in threads of one process share PyTorch's one number of threads and Python's one lock; in
processes of their own (``placement="workers"``) each has its own of both, and costs its own import.
On a GPU each thread has a CUDA stream of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from workbench.audio import Audio
from workbench.conversation.scripted import ScriptedChat
from workbench.conversation.settings import TimeLimits
from workbench.conversation.stages import Chat, Recognition, Stages, Synthesis, TurnTaking
from workbench.conversation.threads import (
    EngineThread,
    ThreadedChat,
    ThreadedRecognition,
    ThreadedSynthesis,
    ThreadedTurnTaking,
)
from workbench.conversation.workers import WorkerEngine
from workbench.engines.turns.detectors import (
    SILENCE_S,
    Policy,
    SemanticTurnDetector,
    SilenceTurnDetector,
)
from workbench.errors import InputError
from workbench.hardware import cpu
from workbench.worker import Worker

Placement = Literal["threads", "workers"]
ECHO = "echo"  # a chat that says again what it heard
SPHINX = "pocketsphinx"  # a recognizer of the nano voices' domain
PRESET = "conversation"  # the synthesizer's, where its settings name no optimizations
_SERVICE_WORKERS = 4  # a request that hangs doesn't hold up the next


@dataclass(frozen=True)
class Engines:
    """What to load for each stage, as JSON values.

    ``recognizer`` is a name for ``load_recognizer``, or ``pocketsphinx``; ``chat`` one for
    ``load_chat``, or ``echo``; ``synthesizer`` one for ``workbench.load``. Each has its settings
    (keywords of these functions). ``turn`` is ``silence`` (over after ``silence_s``) or
    ``semantic``: the chat model is asked, and ``policy`` (threshold, action delay in s, timeout in
    s) says what its answer means.
    """

    recognizer: str = "whisper-nano"
    chat: str = "chat-nano"
    synthesizer: str = "csm-nano"
    recognizer_settings: Mapping[str, Any] = field(default_factory=dict)
    chat_settings: Mapping[str, Any] = field(default_factory=dict)
    synthesizer_settings: Mapping[str, Any] = field(default_factory=dict)
    voice: int = 0
    seed: int = 0
    vad: str = "silero"
    turn: Literal["silence", "semantic"] = "silence"
    silence_s: float = SILENCE_S
    policy: tuple[float, float, float] = (0.5, 0.2, 1.5)
    placement: Placement = "threads"

    def __post_init__(self) -> None:
        if self.turn not in ("silence", "semantic"):
            raise InputError(f"turn={self.turn!r}", "use silence or semantic")
        if self.placement not in ("threads", "workers"):
            raise InputError(f"placement={self.placement!r}", "use threads or workers")
        if self.turn == "semantic" and (self.chat == ECHO or self.chat.startswith("gemini-")):
            raise InputError(
                f"{self.chat} can't judge whether a turn is over",
                "use a local chat model, or turn='silence'",
            )


def thread_budget(cores: float | None = None) -> int:
    """CPU threads of each engine: half of the cores, because two engines work at a time.

    While the user speaks only the recognizer does; then the chat model and the synthesizer do,
    beside the ears, which need little.
    """
    cores = cores or cpu.usable_cores() or 1
    physical = cpu.physical_cores() or cores
    return max(1, math.floor(min(cores, physical) / 2))


def load_stages(
    engines: Engines | None = None, *, threads: int | None = None, device: str | None = None
) -> Stages:
    """Loads and warms up everything, one engine after another, each in the thread it will work in.

    ``threads`` are each engine's CPU threads (default: ``thread_budget``), ``device`` is cpu or
    cuda for all of them (default: cuda where there is one).

    Raises InputError for unknown names and settings, ModelError for files that are missing.
    """
    engines = engines or Engines()
    started = time.perf_counter()
    place = _Place(engines, {"threads": threads or thread_budget(), "device": device})
    try:
        from workbench.engines.turns.vad import load_vad

        vad = load_vad(engines.vad)
        recognizer = place.recognizer()
        chat, model, thread = place.chat()
        synthesizer = place.synthesizer()
        return Stages(
            vad=vad,
            turn=turn_taking(engines, model, thread),
            recognizer=recognizer,
            chat=chat,
            synthesizer=synthesizer,
            release=place.close,
            warm_up_s=time.perf_counter() - started,
        )
    except BaseException:
        place.close()
        raise


def fixed_wait(silence_s: float = SILENCE_S) -> TurnTaking:
    """A turn is over after ``silence_s`` of silence."""
    return ThreadedTurnTaking(SilenceTurnDetector(silence_s), needs_text=False)


def turn_taking(
    engines: Engines, model: Any = None, thread: EngineThread | None = None
) -> TurnTaking:
    """The turn detector that ``engines`` ask for; the semantic one asks ``model`` in ``thread``."""
    if engines.turn == "silence":
        return fixed_wait(engines.silence_s)
    from workbench.engines.chat.local import ChatJudge

    detector = SemanticTurnDetector(ChatJudge(model), Policy(*engines.policy))
    return ThreadedTurnTaking(detector, thread, needs_text=True)


class _Place:
    """Engines on their way into threads or workers; ``close`` ends all that were made."""

    def __init__(self, engines: Engines, shared: Mapping[str, Any]) -> None:
        self._engines, self._shared = engines, shared
        self._open = ExitStack()

    def close(self) -> None:
        self._open.close()

    def recognizer(self) -> Recognition:
        name = self._engines.recognizer
        thread = self._thread("recognizer")
        if name == SPHINX:
            # It keeps Python's lock while it works: in this process it would stop our ears.
            engine = self._placed(
                thread, "workbench.quality.recognizer:SphinxRecognizer", own_process=True
            )
            thread.do(lambda: engine.transcribe(Audio(_faint_noise(), 16_000)))
            return ThreadedRecognition(engine, thread, name)
        engine = self._placed(
            thread,
            "workbench.engines.asr.load:load_recognizer",
            name,
            **{**self._shared, **self._engines.recognizer_settings},
        )
        thread.do(engine.warm_up)
        return ThreadedRecognition(engine, thread, thread.do(lambda: str(engine.name)))

    def chat(self) -> tuple[Chat, Any, EngineThread | None]:
        name = self._engines.chat
        if name == ECHO:
            return ScriptedChat(), None, None
        service = name.startswith("gemini-")
        thread = self._thread("chat", workers=_SERVICE_WORKERS if service else 1)
        # A service that says nothing is left when the session has given it up.
        shared = {"timeout_s": TimeLimits().chat_s} if service else self._shared
        settings = {**shared, **self._engines.chat_settings}
        engine = self._placed(
            thread,
            "workbench.engines.chat.load:load_chat",
            name,
            own_process=False if service else None,
            **settings,
        )
        thread.do(engine.warm_up)
        return ThreadedChat(engine, thread, thread.do(lambda: str(engine.name))), engine, thread

    def synthesizer(self) -> Synthesis:
        thread = self._thread("synthesizer")
        engine = self._placed(
            thread,
            "workbench.engines.load:load",
            self._engines.synthesizer,
            **{"optimizations": PRESET, **self._shared, **self._engines.synthesizer_settings},
        )
        thread.do(engine.warm_up)
        return ThreadedSynthesis(
            engine,
            thread,
            thread.do(lambda: str(engine.name)),
            rate_hz=thread.do(lambda: int(engine.rate_hz)),
            voice=self._engines.voice,
            seed=self._engines.seed,
        )

    def _thread(self, name: str, workers: int = 1) -> EngineThread:
        import torch

        thread = EngineThread(name, workers=workers, cuda=torch.cuda.is_available())
        self._open.callback(thread.close)
        return thread

    def _placed(
        self,
        thread: EngineThread,
        target: str,
        *args: Any,
        own_process: bool | None = None,
        **settings: Any,
    ) -> Any:
        """``target(*args, **settings)`` in the thread, or in a process that the thread talks to.

        ``own_process`` decides which; default: as the engines' ``placement`` says.
        """
        if own_process is None:
            own_process = self._engines.placement == "workers"
        if own_process:
            cores = {"OMP_NUM_THREADS": str(self._shared["threads"])}
            start = partial(Worker, target, *args, environment=cores, name=thread.name, **settings)
            engine = WorkerEngine(start, thread.later)
            self._open.callback(engine.close)
            engine.ready()
            return engine
        made = thread.do(lambda: _made(target)(*args, **settings))
        if callable(close := getattr(made, "close", None)):
            self._open.callback(close)
        return made


def _made(target: str) -> Callable[..., Any]:
    import importlib

    module, _, name = target.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _faint_noise() -> Any:
    import numpy as np

    return (1e-2 * np.random.default_rng(0).standard_normal(16_000)).astype(np.float32)
