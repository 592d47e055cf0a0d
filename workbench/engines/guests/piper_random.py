"""A Piper voice of random weights: for timing and tests without any download.

Of VITS it has the part that takes nearly all the time, the HiFi-GAN decoder (Kong et al.,
arXiv 2010.05646) in the sizes of Piper's medium voices, behind an embedding of phonemes that all
last equally long. Text encoder and flow are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

RATE_HZ = 22_050
PHONEME_FRAMES = 7.0  # of 256 samples: 81 ms, about a phoneme of read speech


@dataclass(frozen=True)
class Sizes:
    """Channels after the first convolution; strides; kernels and dilations of residual blocks."""

    channels: int
    strides: tuple[int, ...]
    kernels: tuple[int, ...]
    dilations: tuple[tuple[int, ...], ...]


SIZES = {
    "full": Sizes(256, (8, 8, 4), (3, 5, 7), ((1, 2), (2, 6), (3, 12))),
    "small": Sizes(16, (8, 8, 4), (3,), ((1, 2),)),
}


def random_voice(size: str, speakers: int = 1) -> tuple[bytes, dict[str, Any]]:
    """The ONNX file's bytes and the voice's JSON, with the inputs and outputs of Piper's export."""
    from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP

    config = {
        "audio": {"sample_rate": RATE_HZ},
        "espeak": {"voice": "en-us"},
        "phoneme_type": "espeak",
        "num_symbols": 256,
        "num_speakers": speakers,
        "inference": {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8},
        "phoneme_id_map": {sign: list(ids) for sign, ids in DEFAULT_PHONEME_ID_MAP.items()},
        "dataset": f"random weights, {size}",
    }
    return voice_graph(SIZES[size], speakers), config


def voice_graph(sizes: Sizes, speakers: int = 1, symbols: int = 256) -> bytes:
    """An ONNX model: phoneme ids ``[1, N]`` to sound ``[1, 1, 1, T]``."""
    from onnx import TensorProto, helper

    graph = _Graph()
    x = graph.node("Gather", graph.weight(symbols, sizes.channels), "input")
    if speakers > 1:
        x = graph.node(
            "Add", x, graph.node("Gather", graph.weight(speakers, sizes.channels), "sid")
        )
    x = graph.node("Transpose", x, perm=[0, 2, 1])  # [1, C, N]
    noise, length, _ = graph.split("scales", 3)
    frames = graph.node("Mul", length, graph.constant([PHONEME_FRAMES]))
    factors = graph.node("Concat", graph.constant([1.0, 1.0]), frames, axis=0)
    x = graph.node("Resize", x, "", factors, mode="nearest")
    x = graph.node("Add", x, graph.node("Mul", graph.node("RandomNormalLike", x), noise))
    x = graph.convolution(x, sizes.channels, sizes.channels, 7)
    channels = sizes.channels
    for stride in sizes.strides:
        x = graph.node("LeakyRelu", x, alpha=0.1)
        x = graph.upsampling(x, channels, channels // 2, stride)
        channels //= 2
        blocks = [
            graph.residual(x, channels, kernel, dilations)
            for kernel, dilations in zip(sizes.kernels, sizes.dilations, strict=True)
        ]
        total = blocks[0]
        for block in blocks[1:]:
            total = graph.node("Add", total, block)
        x = graph.node("Div", total, graph.constant([float(len(blocks))]))
    x = graph.convolution(graph.node("LeakyRelu", x, alpha=0.1), channels, 1, 7)
    x = graph.node("Mul", graph.node("Tanh", x), graph.constant([0.3]))
    x = graph.node("Unsqueeze", x, graph.integers([1]))
    integers, floats = TensorProto.INT64, TensorProto.FLOAT
    inputs = [
        helper.make_tensor_value_info("input", integers, [1, "phonemes"]),
        helper.make_tensor_value_info("input_lengths", integers, [1]),
        helper.make_tensor_value_info("scales", floats, [3]),
    ]
    if speakers > 1:
        inputs.append(helper.make_tensor_value_info("sid", integers, [1]))
    # An input that no node reads would be dropped, and Piper passes it.
    graph.node("Identity", "input_lengths")
    graph.nodes.append(helper.make_node("Identity", [x], ["output"]))
    made = helper.make_graph(
        graph.nodes,
        "random voice",
        inputs,
        [helper.make_tensor_value_info("output", floats, [1, 1, 1, "samples"])],
        graph.weights,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


class _Graph:
    """Nodes and weights of an ONNX graph as it grows; names are numbers."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self._random = np.random.default_rng(0)
        self._count = 0

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The name of the node's output."""
        from onnx import helper

        name = self._name()
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def split(self, name: str, count: int) -> list[str]:
        """The single values of a vector, each of shape [1]."""
        return [
            self.node("Slice", name, self.integers([i]), self.integers([i + 1]))
            for i in range(count)
        ]

    def weight(self, *shape: int) -> str:
        """Normal numbers whose products keep their size."""
        fan_in = int(np.prod(shape[1:]))
        return self._tensor(self._random.normal(0, fan_in**-0.5, shape).astype(np.float32))

    def constant(self, values: Sequence[float]) -> str:
        """A float32 vector."""
        return self._tensor(np.array(values, np.float32))

    def integers(self, values: Sequence[int]) -> str:
        """An int64 vector."""
        return self._tensor(np.array(values, np.int64))

    def convolution(self, x: str, inside: int, outside: int, kernel: int, dilation: int = 1) -> str:
        """A convolution that keeps the length."""
        pad = dilation * (kernel - 1) // 2
        return self.node(
            "Conv", x, self.weight(outside, inside, kernel), dilations=[dilation], pads=[pad, pad]
        )

    def upsampling(self, x: str, inside: int, outside: int, stride: int) -> str:
        """A transposed convolution of twice its stride: ``stride`` samples for each."""
        pad = stride // 2
        return self.node(
            "ConvTranspose",
            x,
            self.weight(inside, outside, 2 * stride),
            strides=[stride],
            pads=[pad, pad],
        )

    def residual(self, x: str, channels: int, kernel: int, dilations: Sequence[int]) -> str:
        """HiFi-GAN's second residual block."""
        for dilation in dilations:
            y = self.node("LeakyRelu", x, alpha=0.1)
            y = self.convolution(y, channels, channels, kernel, dilation)
            x = self.node("Add", x, y)
        return x

    def _tensor(self, values: np.ndarray) -> str:
        from onnx import numpy_helper

        name = self._name()
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def _name(self) -> str:
        self._count += 1
        return f"n{self._count}"
