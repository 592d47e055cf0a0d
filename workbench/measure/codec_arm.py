"""Mimi's decoder as an arm: frames decoded one by one, by PyTorch or by onnxruntime."""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workbench.errors import InputError
from workbench.measure.arm import rest_collector
from workbench.measure.engine_arm import peak_rss_bytes

BACKENDS = ("torch", "onnxruntime")


class CodecArm:
    """Each trial decodes ``frames`` frames of the codec of ``engine`` with random codes."""

    def __init__(
        self,
        engine: str,
        backend: str,
        *,
        frames: int = 25,
        threads: int = 1,
        weights: Literal["auto", "random"] = "auto",
    ) -> None:
        import torch

        import workbench

        if backend not in BACKENDS:
            raise InputError(f"no backend called {backend!r}", f"use {' or '.join(BACKENDS)}")
        torch.set_num_threads(threads)
        self._backend, self._frames, self._threads = backend, frames, threads
        codec = workbench.load(engine, weights=weights, device="cpu", dtype="float32").codec
        self._count = int(codec.config.num_quantizers)
        self._size = int(codec.config.codebook_size)
        self._decode = _in_torch(codec) if backend == "torch" else _in_onnx(codec, threads)

    def warm_up(self) -> float:
        """One trial that doesn't count."""
        started = time.perf_counter()
        self.trial(0, 0)
        elapsed_s = time.perf_counter() - started
        rest_collector()
        return elapsed_s

    def trial(self, index: int, seed: int) -> dict[str, float]:
        """``frame_ms`` is the time for each frame of 80 ms."""
        codes = self._codes(seed)
        gc.collect()
        begin = time.perf_counter()
        self._decode(codes)
        elapsed_ms = (time.perf_counter() - begin) * 1000
        return {"frame_ms": elapsed_ms / self._frames, "peak_rss_bytes": peak_rss_bytes()}

    def decoded(self, seed: int) -> np.ndarray:
        """The sound ``[T]`` float32 of a trial's codes."""
        sound: np.ndarray = self._decode(self._codes(seed))
        return sound

    def _codes(self, seed: int) -> np.ndarray:
        shape = (self._count, self._frames)
        return np.random.default_rng(seed).integers(self._size, size=shape)

    def about(self) -> dict[str, Any]:
        """What ran."""
        return {"implementation": self._backend, "threads": self._threads, "device": "cpu"}


def _in_torch(codec: Any) -> Any:
    import torch

    from workbench.models.mimi.streaming import MimiDecoderStream

    stream = MimiDecoderStream(codec)

    def decode(codes: np.ndarray) -> np.ndarray:
        stream.reset()
        with torch.inference_mode():
            columns = torch.from_numpy(codes).T
            sounds = [stream.frame(column[None]) for column in columns]
            joined: np.ndarray = torch.cat(sounds, dim=1)[0].numpy()
        return joined

    return decode


def _in_onnx(codec: Any, threads: int) -> Any:
    from workbench.models.mimi.onnx_frame import OnnxMimiDecoder, export_frame

    with tempfile.TemporaryDirectory() as folder:
        path = export_frame(codec, Path(folder) / "mimi.onnx")
        return OnnxMimiDecoder(path, threads).decode
