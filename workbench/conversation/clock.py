"""Runs a session: on the real clock, or on a simulated one that skips the waits.

All times of a session come from its event loop's clock. The simulated loop jumps to the next timer
whenever nothing is left to do, so that half an hour of conversation takes seconds and every run
gives the same times. It knows no threads: it is for stages that sleep instead of working.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from workbench.errors import WorkbenchError

T = TypeVar("T")


class StuckError(WorkbenchError):
    """On the simulated clock nothing can ever happen again: something waits for nothing."""


class _Jumps(selectors.DefaultSelector):
    """Instead of waiting until a timer, says that its time has come."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise StuckError("the conversation is stuck", "report the trace that led here")
        if not ready and timeout:
            self.now_s += timeout
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only in jumps from timer to timer."""

    def __init__(self) -> None:
        self._jumps = _Jumps()
        super().__init__(self._jumps)

    def time(self) -> float:
        """Simulated seconds since the loop was made."""
        return self._jumps.now_s


def run(work: Callable[[], Coroutine[Any, Any, T]], *, simulated: bool = False) -> T:
    """Runs ``work()`` in an event loop of its own and returns its result.

    Also from a notebook, whose own loop is busy with the cell: then in another thread.
    """

    def inside() -> T:
        with asyncio.Runner(loop_factory=SimulatedLoop if simulated else None) as runner:
            return runner.run(work())

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return inside()
    with ThreadPoolExecutor(1, thread_name_prefix="conversation") as thread:
        return thread.submit(inside).result()
