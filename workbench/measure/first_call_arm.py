"""The first request after a start, as an arm: each trial is a process of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.errors import InputError
from workbench.measure.arm import rest_collector
from workbench.measure.engine_arm import about, checked_texts, loaded, peak_rss_bytes
from workbench.worker import Worker


class FirstCall:
    """In the trial's process: an engine that has never spoken."""

    def __init__(self, engine: str, load: Mapping[str, Any], threads: int | None) -> None:
        self._engine = loaded(engine, load, threads)

    def speak(self, text: str, seed: int, options: Mapping[str, Any]) -> dict[str, float]:
        """Speaks ``text``; ``first_call_ms`` is from the request to its first sound."""
        begin = time.perf_counter()
        stream = self._engine.stream(text, seed=seed, **options)
        if next(iter(stream), None) is None:
            raise InputError(f"no sound came of {text!r} (seed {seed})", "use another text or seed")
        first_call_ms = 1000 * (time.perf_counter() - begin)
        for _ in stream:
            pass
        return {
            "first_call_ms": first_call_ms,
            "whole_ms": 1000 * (time.perf_counter() - begin),
            "peak_rss_bytes": peak_rss_bytes(),
            **_gpu_figures(self._engine),
        }

    def about(self) -> dict[str, Any]:
        """What really ran."""
        return about(self._engine)


class FirstCallArm:
    """Each trial starts a process, which loads ``engine`` and speaks its first text.

    Settings are those of ``EngineArm``. Files are in the machine's cache after the warm-up: what
    is timed is a restart, not the first start after the machine's own.
    """

    def __init__(
        self,
        engine: str,
        texts: Sequence[str],
        *,
        load: Mapping[str, Any] | None = None,
        voice: int = 0,
        temperature: float | None = None,
        max_frames: int | None = None,
        threads: int | None = None,
    ) -> None:
        self.texts = checked_texts(texts)
        self._made: dict[str, Any] = {
            "engine": engine,
            "load": dict(load or {}),
            "threads": threads,
        }
        self._options = {"voice": voice, "temperature": temperature, "max_frames": max_frames}
        self._about: dict[str, Any] = {}

    def warm_up(self) -> float:
        """One trial that doesn't count; it also tells what runs."""
        started = time.perf_counter()
        self._speak(0, 0, ask=True)
        elapsed_s = time.perf_counter() - started
        rest_collector()
        return elapsed_s

    def trial(self, index: int, seed: int) -> dict[str, float]:
        """Text ``index`` (modulo their number) in a process of its own.

        ``ready_ms`` is from the process's start until the engine is loaded, imports included;
        ``first_call_ms`` from the first request after that to its first sound, ``whole_ms`` to
        its last.
        """
        return self._speak(index, seed)

    def about(self) -> dict[str, Any]:
        """What really ran; empty before the warm-up."""
        return self._about

    def _speak(self, index: int, seed: int, *, ask: bool = False) -> dict[str, float]:
        begin = time.perf_counter()
        with Worker("workbench.measure.first_call_arm:FirstCall", **self._made) as worker:
            worker.ready()
            ready_ms = 1000 * (time.perf_counter() - begin)
            text = self.texts[index % len(self.texts)]
            figures: dict[str, float] = worker.call("speak", text, seed, self._options)
            if ask:
                self._about = worker.call("about")
        return {"ready_ms": ready_ms, **figures}


def _gpu_figures(engine: Any) -> dict[str, float]:
    if not str(getattr(engine, "device", "cpu")).startswith("cuda"):
        return {}
    import torch

    return {"peak_gpu_bytes": float(torch.cuda.max_memory_allocated())}
