"""Loaded engines that are kept, so that the next request needn't load them again."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

KEPT = 2  # engines: speak's two modes, a script's usual one or two


def _load(name: str, **settings: Any) -> Any:
    import workbench

    return workbench.load(name, **settings)


class EngineCache:
    """The last ``most`` engines by name and settings, which are JSON values.

    What makes way is closed where it can be (an engine in a process of its own). One thread loads
    at a time. An engine still speaks one request at a time: the cache lends, it doesn't lock.
    """

    def __init__(self, most: int = KEPT, load: Callable[..., Any] = _load) -> None:
        self._most = most
        self._load = load
        self._engines: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str, **settings: Any) -> Any:
        """The engine, loaded where it isn't there; raises what ``workbench.load`` raises."""
        key = json.dumps([name, settings], sort_keys=True)
        with self._lock:
            if key not in self._engines:
                while len(self._engines) >= self._most:  # before loading: both may not fit
                    _close(self._engines.popitem(last=False)[1])
                self._engines[key] = self._load(name, **settings)
            self._engines.move_to_end(key)
            return self._engines[key]

    def __len__(self) -> int:
        return len(self._engines)

    def clear(self) -> None:
        """Lets all go."""
        with self._lock:
            while self._engines:
                _close(self._engines.popitem()[1])


def _close(engine: Any) -> None:
    close = getattr(engine, "close", None)
    if close is not None:
        close()


ENGINES = EngineCache()
