"""What arms with an engine have in common: loading, warming up, memory, and what really ran."""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from workbench.errors import InputError
from workbench.measure.arm import rest_collector


class EngineArm:
    """Loads ``engine`` with the settings ``load``; a subclass says in ``work`` what a trial does.

    ``voice``, ``temperature`` and ``max_frames`` are those of every request. ``threads`` is the
    number of CPU threads (None: the engine's own choice).
    """

    warm_ups: int | None = None  # trials to warm up with; None: one with each text

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
        self.engine = loaded(engine, load, threads)
        self.options: dict[str, Any] = {
            "voice": voice,
            "temperature": temperature,
            "max_frames": max_frames,
        }
        self.cuda = str(getattr(self.engine, "device", "cpu")).startswith("cuda")

    def work(self, index: int, seed: int) -> Any:
        """What a trial does; returns its figures, or what ``figures`` makes them of."""
        raise NotImplementedError

    def figures(self, made: Any) -> dict[str, float]:
        """The figures of what ``work`` returned, when nothing is timed any more."""
        return dict(made)

    def warm_up(self) -> float:
        """The engine's own warm-up, then the first trials: compilers see every length."""
        started = time.perf_counter()
        self.engine.warm_up()
        for index in range(self.warm_ups or len(self.texts)):
            self.work(index, 0)
        elapsed_s = time.perf_counter() - started
        rest_collector()
        return elapsed_s

    def trial(self, index: int, seed: int) -> dict[str, float]:
        """``work`` with its memory; times are the host's, from the request to its result there.

        On a GPU ``gpu_ms`` is the time between two events around all of it.
        """
        gc.collect()
        if not self.cuda:
            return {**self.figures(self.work(index, seed)), "peak_rss_bytes": peak_rss_bytes()}
        import torch

        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        made = self.work(index, seed)
        end.record()
        end.synchronize()
        return {
            **self.figures(made),
            "gpu_ms": float(begin.elapsed_time(end)),
            "peak_rss_bytes": peak_rss_bytes(),
            "peak_gpu_bytes": float(torch.cuda.max_memory_allocated()),
        }

    def about(self) -> dict[str, Any]:
        """What really ran."""
        return about(self.engine)


def loaded(engine: str, load: Mapping[str, Any] | None, threads: int | None) -> Any:
    """The engine that an arm runs."""
    import workbench

    settings = dict(load or {})
    if threads is not None:
        settings.setdefault("threads", threads)
    return workbench.load(engine, **settings)


def checked_texts(texts: Sequence[str]) -> tuple[str, ...]:
    """``texts``, of which there must be one at least."""
    if not texts:
        raise InputError("an arm without texts", "pass at least one text to speak")
    return tuple(texts)


def about(engine: Any) -> dict[str, Any]:
    """What runs: implementation, switches with the options they made, weights, device, versions.

    ``weights_bytes`` is what the engine's networks take, in their types after quantization.
    """
    torch = sys.modules.get("torch")  # an engine without it shall not have its memory
    device = str(getattr(engine, "device", ""))
    options = getattr(engine, "options", None)
    found = {
        "engine": engine.name,
        "implementation": engine.implementation,
        "optimizations": list(getattr(engine, "optimizations", ())),
        "options": asdict(options) if options is not None else {},
        "left_out": dict(getattr(engine, "left_out", {})),
        "weights": engine.weights,
        "device": device,
        "dtype": str(getattr(engine, "dtype", "")).removeprefix("torch."),
        "torch": str(torch.__version__) if torch else None,
        "threads": getattr(engine, "threads", torch.get_num_threads() if torch else None),
    }
    model = getattr(getattr(engine, "csm", None), "model", None)
    if model is not None:
        return {**found, "weights_bytes": state_bytes(model.state_dict())}
    told = getattr(getattr(engine, "loaded", None), "weights_bytes", None)  # a guest's own count
    return found if told is None else {**found, "weights_bytes": told}


def state_bytes(state: Any) -> int:
    """Bytes of all tensors in a state dict, packed and quantized ones too; shared memory once."""
    sizes: dict[Any, int] = {}
    for tensor in _tensors(state):
        storage = tensor.untyped_storage()
        key = (str(tensor.device), storage.data_ptr()) if storage.nbytes() else id(tensor)
        sizes[key] = storage.nbytes()
    return sum(sizes.values())


def _tensors(state: Any) -> Iterable[Any]:
    import torch

    if isinstance(state, torch.Tensor):
        if hasattr(state, "__tensor_flatten__"):  # torchao's types are made of plain tensors
            for name in state.__tensor_flatten__()[0]:
                yield from _tensors(getattr(state, name))
        else:
            yield state
    elif isinstance(state, Mapping):
        for value in state.values():
            yield from _tensors(value)
    elif isinstance(state, (tuple, list)):  # dynamic quantization packs weight and bias so
        for value in state:
            yield from _tensors(value)


def peak_rss_bytes() -> float:
    """Most memory this process has had; Linux counts it in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else 1024 * peak)
