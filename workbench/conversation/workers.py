"""Engines in processes of their own: what dies or hangs is told, and started again.

A request to a process that ended raises what `Worker` says of it; at that moment a new process is
begun, which loads and warms up beside the conversation. Requests that come sooner wait for it, as
long as their time limits allow.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from workbench.audio import Audio
from workbench.engines.chat.messages import Message
from workbench.worker import Worker, WorkerDied, WorkerTimeout

HUNG_S = 30.0  # a step that takes longer has hung: three times a session's own limits
_START_S = 900.0
_MOST_DEATHS = 3  # in a row, after which it isn't started again


class WorkerEngine:
    """An engine in a process of its own, with all that a conversation asks of engines.

    ``start`` makes the process, again where it ends. ``later`` runs what it is given when the
    request under way is over, in the thread that talks to the process. One thread at a time uses
    it, but for ``close``.
    """

    def __init__(
        self,
        start: Callable[[], Worker],
        later: Callable[[Callable[[], object]], None] = lambda work: None,
    ) -> None:
        self._start, self._later = start, later
        self._deaths = 0
        self._closed = False
        self._changing = threading.Lock()  # the process: begun again here, or ended by ``close``
        self._worker = start()

    @property
    def pid(self) -> int:
        """The process's id; another one after it was started again."""
        return self._worker.pid

    def ready(self) -> None:
        """Waits until the engine is loaded; raises what its loading raised."""
        self._worker.ready(_START_S)

    def __getattr__(self, name: str) -> Any:
        # Only what this class hasn't: name, rate_hz, weights.
        return self._call("__getattribute__", name)

    def transcribe(self, audio: Audio) -> Any:
        """The recognizer's."""
        return self._call("transcribe", audio)

    def end_probability(self, messages: Sequence[Message]) -> float:
        """The chat model's."""
        return float(self._call("end_probability", list(messages)))

    def stream(self, *args: Any, **request: Any) -> Iterator[Any]:
        """The chat model's chunks of text, or the synthesizer's of sound."""
        worker = self._worker
        try:
            worker.ready(_START_S)
            yield from worker.stream("stream", *args, timeout_s=HUNG_S, **request)
        except (WorkerDied, WorkerTimeout) as problem:
            raise self._ended(worker, problem) from problem
        self._deaths = 0

    def warm_up(self) -> float:
        """The engine's own."""
        return float(self._call("warm_up", timeout_s=_START_S))

    def close(self) -> None:
        """Ends the process, which isn't started again."""
        with self._changing:
            self._closed = True
            self._worker.close()

    def _call(self, method: str, *args: Any, timeout_s: float | None = None) -> Any:
        worker = self._worker
        try:
            worker.ready(_START_S)
            value = worker.call(method, *args, timeout_s=timeout_s or HUNG_S)
        except (WorkerDied, WorkerTimeout) as problem:
            raise self._ended(worker, problem) from problem
        if method != "warm_up":
            self._deaths = 0
        return value

    def _ended(self, worker: Worker, problem: WorkerDied | WorkerTimeout) -> Exception:
        """Starts the process again, and says so: the error to raise."""
        with self._changing:
            if self._closed or worker is not self._worker:
                return problem
            self._deaths += 1
            if self._deaths > _MOST_DEATHS:
                return type(problem)(
                    f"{problem.what}, {self._deaths} times in a row",
                    "begin the conversation anew, with an engine that works here",
                )
            worker.close()
            self._worker = self._start()
        self._later(self.warm_up)
        again = type(problem)(problem.what, f"it is being started again; {problem.remedy}")
        for note in getattr(problem, "__notes__", ()):
            again.add_note(note)
        return again
