"""Mimi's decoder as an arm: the same codes as streams, by each program that decodes them."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workbench.errors import InputError
from workbench.measure.arm import rest_collector
from workbench.measure.engine_arm import peak_rss_bytes

TRANSFORMERS, TORCH, NATIVE, ONNX = "transformers", "torch", "native", "onnxruntime"
BACKENDS = (TRANSFORMERS, TORCH, NATIVE, ONNX)
_LEAST_FRAMES = 16  # timed for each length: a single frame takes about a millisecond

Weights = Literal["auto", "random"]
Decode = Callable[[np.ndarray], Iterator[np.ndarray]]  # codes [K, T] to pieces of sound in turn


def frame_metric(frames: int) -> str:
    """The time for each frame of a stream of ``frames``."""
    return f"stream_{frames}_frame_ms"


def first_metric(frames: int) -> str:
    """The time until the first sound of a stream of ``frames`` is there."""
    return f"stream_{frames}_first_ms"


class CodecArm:
    """Each trial decodes streams of random codes, one for each length in ``frames``.

    ``torch``, ``native`` and ``onnxruntime`` decode frame by frame. ``transformers`` can't stream
    Mimi's decoder: it has all frames at once, and so its first sound at the end. ``codec`` is a
    Mimi's name or an engine's, see ``codec_called``.
    """

    def __init__(
        self,
        codec: str,
        backend: str,
        *,
        frames: Sequence[int] = (25,),
        threads: int = 1,
        weights: Weights = "auto",
    ) -> None:
        import torch

        if backend not in BACKENDS:
            raise InputError(f"no backend called {backend!r}", f"use {' or '.join(BACKENDS)}")
        self._lengths = checked_lengths(frames)
        torch.set_num_threads(threads)
        self._backend, self._threads = backend, threads
        model, self._weights = codec_called(codec, weights)
        self._config = model.config
        self._decode = _decoder(model, backend, threads)
        self._last: list[np.ndarray] = []

    def warm_up(self) -> float:
        """One trial that doesn't count."""
        started = time.perf_counter()
        self.trial(0, 0)
        elapsed_s = time.perf_counter() - started
        rest_collector()
        return elapsed_s

    def trial(self, index: int, seed: int) -> dict[str, float]:
        """Means over as many streams of each length as have 16 frames together.

        Streams of all lengths begin with the same codes.
        """
        codes = random_codes(self._config, self._lengths[-1], seed)
        figures: dict[str, float] = {}
        gc.collect()
        for length in self._lengths:
            figures |= self._timed(codes[:, :length])
        return {**figures, "peak_rss_bytes": peak_rss_bytes()}

    def last(self) -> np.ndarray:
        """The sound ``[T]`` float32 of the last trial's longest stream."""
        if not self._last:
            raise InputError("no trial has run", "ask for the last sound after a trial")
        return np.concatenate(self._last)

    def about(self) -> dict[str, Any]:
        """What ran."""
        return {
            "implementation": self._backend,
            "weights": self._weights,
            "threads": self._threads,
            "device": "cpu",
        }

    def _timed(self, codes: np.ndarray) -> dict[str, float]:
        frames = codes.shape[1]
        repeats = -(-_LEAST_FRAMES // frames)
        first_s = whole_s = 0.0
        for _ in range(repeats):
            begin = time.perf_counter()
            pieces = self._decode(codes)
            self._last = [next(pieces)]
            first_s += time.perf_counter() - begin
            self._last += pieces
            whole_s += time.perf_counter() - begin
        return {
            frame_metric(frames): 1000 * whole_s / (repeats * frames),
            first_metric(frames): 1000 * first_s / repeats,
        }


def codec_called(name: str, weights: Weights = "auto") -> tuple[Any, str]:
    """A ``MimiModel`` in float32 on the CPU, and the name of its weights.

    ``name`` is ``mimi-nano``, ``mimi`` (from the hub), a folder, or an engine with such a codec.
    Raises InputError for any other, ModelError for files that are missing or damaged.
    """
    import workbench
    from workbench.engines.guests.load import is_guest
    from workbench.models.mimi.load import find_codec, load_codec

    random = weights == "random"
    found = find_codec(name, random=random)
    if found is not None:
        return load_codec(found, random=random), "random" if random else found.revision
    if is_guest(name):
        raise InputError(f"{name} has no Mimi", "use mimi-nano, mimi, csm-nano or csm-1b")
    engine = workbench.load(name, weights=weights, device="cpu", dtype="float32")
    return engine.codec, engine.weights


def random_codes(config: Any, frames: int, seed: int) -> np.ndarray:
    """Codes ``[K, frames]`` int64 for a codec's ``config``."""
    shape = (int(config.num_quantizers), frames)
    return np.random.default_rng(seed).integers(int(config.codebook_size), size=shape)


def checked_lengths(frames: Sequence[int]) -> tuple[int, ...]:
    """Each length once, in order; InputError for none, and for one below a frame."""
    lengths = tuple(sorted(set(frames)))
    if not lengths or lengths[0] < 1:
        raise InputError(f"streams of {list(frames)} frames", "use at least one frame")
    return lengths


def _decoder(codec: Any, backend: str, threads: int) -> Decode:
    if backend == TRANSFORMERS:
        return _whole(codec)
    if backend == ONNX:
        return _in_onnx(codec, threads)
    if backend == NATIVE:
        from workbench.models.mimi.native_decoder import NativeDecoderStream, native_decoder

        return _streamed(NativeDecoderStream(native_decoder(codec)))
    from workbench.models.mimi.streaming import MimiDecoderStream

    return _streamed(MimiDecoderStream(codec))


def _whole(codec: Any) -> Decode:
    import torch

    def decode(codes: np.ndarray) -> Iterator[np.ndarray]:
        with torch.inference_mode():
            sound = codec.decode(torch.from_numpy(codes)[None]).audio_values
        yield sound[0, 0].numpy()

    return decode


def _streamed(stream: Any) -> Decode:
    import torch

    def decode(codes: np.ndarray) -> Iterator[np.ndarray]:
        stream.reset()
        for column in torch.from_numpy(codes).T:
            with torch.inference_mode():
                sound = stream.frame(column[None])
            yield sound[0].numpy()

    return decode


def _in_onnx(codec: Any, threads: int) -> Decode:
    from workbench.models.mimi.onnx_frame import OnnxMimiDecoder, export_frame

    with tempfile.TemporaryDirectory() as folder:
        decoder = OnnxMimiDecoder(export_frame(codec, Path(folder) / "mimi.onnx"), threads)

    def decode(codes: np.ndarray) -> Iterator[np.ndarray]:
        decoder.reset()
        for column in codes.T:
            yield decoder.frame(column)

    return decode
