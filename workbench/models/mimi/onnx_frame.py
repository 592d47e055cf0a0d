"""Mimi's decoder as an ONNX graph of one frame, its state passed in and out, run by onnxruntime.

The graph is traced from ``MimiDecoderStream``, so streamed equals offline there as well. Each
layer's keys and values are tensors of their own: parts of one tensor would be written back into
it by ScatterElements, which is slow. Exporting needs the packages onnx and onnxscript, running
only onnxruntime.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import InputError, ModelError
from workbench.files import atomic_path, sha256_of

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import MimiModel

    from workbench.models.mimi.streaming import MimiDecoderStream

_KIND = "workbench mimi frame 2"
_POSITION = "position"


def export_frame(codec: MimiModel, path: Path | str, count: int | None = None) -> Path:
    """Writes the graph of one frame of ``count`` codebooks (None: all) to ``path``.

    Inputs: ``codes`` ``[1, count]`` int64 and the state before; outputs: ``sound``
    ``[1, frame_samples]`` and the state after, with ``_after`` at the names' end. Raises
    ModelError where onnx or onnxscript is missing.
    """
    import torch

    try:
        import onnx
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError as problem:
        raise ModelError(
            f"exporting to ONNX needs the package {problem.name}", "pip install 'workbench[onnx]'"
        ) from problem
    from workbench.models.mimi.streaming import MimiDecoderStream

    stream = MimiDecoderStream(codec, max_step_frames=1)
    count = stream.num_quantizers if count is None else count
    if not 1 <= count <= stream.num_quantizers:
        raise InputError(f"{count} codebooks", f"use 1 to {stream.num_quantizers}")
    codes = torch.zeros(1, count, dtype=torch.int64, device=stream.device)
    state = {name: tensor.clone() for name, tensor in _state(stream).items()}
    told = {
        "kind": _KIND,
        "rate_hz": str(codec.config.sampling_rate),
        "frame_samples": str(stream.frame_samples),
        "state": json.dumps({name: list(tensor.shape) for name, tensor in state.items()}),
    }
    # The exporter warns of every weight that isn't a parameter of the traced module: here none is.
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _frame_module(stream),
            (codes, *state.values()),
            input_names=["codes", *state],
            output_names=["sound", *(f"{name}_after" for name in state)],
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # of the exporter that dynamo=True asks for
    model = program.model_proto
    for key, value in told.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    with atomic_path(path) as temporary:
        onnx.save(model, str(temporary))
    return Path(path)


class OnnxMimiDecoder:
    """One stream of Mimi's decoder in onnxruntime; the state stays in its memory.

    Raises ModelError for a file that is missing or is no such graph.
    """

    def __init__(self, path: Path | str, threads: int | None = None) -> None:
        import onnxruntime

        path = Path(path)
        if not path.is_file():
            raise ModelError(f"no ONNX file at {path}", "write it with export_frame")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        self._value = onnxruntime.OrtValue.ortvalue_from_numpy
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as problem:  # onnxruntime has an exception type for each way of failing
            raise ModelError(
                f"{path} can't be loaded: {str(problem).splitlines()[0]}", "export it again"
            ) from problem
        told = self._session.get_modelmeta().custom_metadata_map
        if told.get("kind") != _KIND:
            raise ModelError(f"{path} is no decoder of Mimi's frames", "write it with export_frame")
        self.weights = sha256_of(path)[:12]
        self.rate_hz = int(told["rate_hz"])
        self.frame_samples = int(told["frame_samples"])
        self.count = int(self._session.get_inputs()[0].shape[1])
        self._shapes: dict[str, list[int]] = json.loads(told["state"])
        self._names = ["sound", *(f"{name}_after" for name in self._shapes)]
        self.reset()

    def reset(self) -> None:
        """Starts the stream anew."""
        self._held = [
            self._value(np.zeros(shape, np.int64 if name == _POSITION else np.float32))
            for name, shape in self._shapes.items()
        ]

    def frame(self, codes: np.ndarray) -> np.ndarray:
        """Sound ``[frame_samples]`` of one frame of codes ``[K]`` int64."""
        if codes.shape != (self.count,):
            raise InputError(f"codes of shape {codes.shape}", f"pass [{self.count}] codes")
        given: dict[str, Any] = dict(zip(self._shapes, self._held, strict=True))
        given["codes"] = self._value(np.ascontiguousarray(codes[None], np.int64))
        sound, *self._held = self._session.run_with_ort_values(self._names, given)
        samples: np.ndarray = sound.numpy()[0]
        return samples

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Sound ``[T * frame_samples]`` of codes ``[K, T]``, from the stream's beginning."""
        self.reset()
        return np.concatenate([self.frame(column) for column in codes.T])


def _state(stream: MimiDecoderStream) -> dict[str, Tensor]:
    transformer = stream._transformer
    state = {"convolutions": stream._bank.flat, _POSITION: transformer.position}
    state |= {f"keys_{layer}": keys for layer, keys in enumerate(transformer.keys)}
    return state | {f"values_{layer}": values for layer, values in enumerate(transformer.values)}


@contextmanager
def _with_state(stream: MimiDecoderStream, state: Sequence[Tensor]) -> Iterator[None]:
    """The stream standing on other tensors for its state, and afterwards on its own again."""
    bank, transformer = stream._bank, stream._transformer
    before = bank.flat, transformer.position, transformer.keys, transformer.values
    slots = [slot.value for slot in bank._slots]
    try:
        _put(stream, state)
        yield
    finally:
        bank.flat, transformer.position, transformer.keys, transformer.values = before
        for slot, value in zip(bank._slots, slots, strict=True):
            slot.value = value


def _put(stream: MimiDecoderStream, state: Sequence[Tensor]) -> None:
    from math import prod

    bank = stream._bank
    transformer: Any = stream._transformer  # lists in the place of its caches
    bank.flat, transformer.position, *caches = state
    layers = len(transformer.layers)
    transformer.keys, transformer.values = caches[:layers], caches[layers:]
    sizes = [prod(slot.shape) for slot in bank._slots]
    for slot, part in zip(bank._slots, bank.flat.split(sizes, dim=1), strict=True):
        slot.value = part.view(bank.batch_size, *slot.shape)


def _frame_module(stream: MimiDecoderStream) -> Any:
    """One frame as a function of codes and state, which is what an exporter can trace."""
    import torch

    class Frame(torch.nn.Module):
        def forward(self, codes: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
            own = [tensor.clone() for tensor in state]
            with _with_state(stream, own):
                sound = stream.frame(codes)
                after = _state(stream)
            return (sound, *after.values())

    return Frame()
