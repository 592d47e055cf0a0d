"""Causal convolutions of Mimi that carry their context from chunk to chunk.

A causal convolution needs the last ``kernel - stride`` inputs of the chunk before; a transposed
one adds the last ``kernel - stride`` outputs of the chunk before to its first ones. Both follow
from the definition of the layers (Mimi: Défossez et al., Moshi, arXiv 2410.00037).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.errors import InputError
from workbench.models.mimi.state import StateBank

Layer = Callable[[Tensor], Tensor]


class StreamingConv:
    """A causal ``MimiConv1d``: ``[B, C, T]`` to ``[B, C', T / stride]``, T a multiple of stride.

    Before the first chunk the context is zero, or with ``pad_mode`` "replicate" the stream's
    first input, as offline. ``final=True`` pads a shorter last chunk on the right, also as offline.
    """

    def __init__(self, module: nn.Module, bank: StateBank) -> None:
        conv = module.conv
        self.weight, self.bias = conv.weight, conv.bias
        self.stride, self.dilation, self.groups = conv.stride[0], conv.dilation[0], conv.groups
        self.context = (conv.kernel_size[0] - 1) * self.dilation + 1 - self.stride
        self.replicate = module.pad_mode == "replicate"
        if not module.causal or module.pad_mode not in ("constant", "replicate"):
            raise InputError(
                f"a codec with pad_mode {module.pad_mode!r}, causal {module.causal}, can't stream",
                "use a codec with use_causal_conv=True and pad_mode 'constant' or 'replicate'",
            )
        if self.context < 0:
            raise InputError(
                f"a convolution with kernel {conv.kernel_size[0]} under its stride {self.stride}",
                "use a codec whose kernels are at least as long as their strides",
            )
        self._past = bank.reserve(conv.in_channels, self.context)
        self._started = bank.reserve(1, 1) if self.replicate else None

    def __call__(self, x: Tensor, final: bool = False) -> Tensor:
        if final:
            missing = -x.shape[-1] % self.stride
            x = functional.pad(x, (0, missing), mode="replicate" if self.replicate else "constant")
        if self.context:
            past = self._past.value
            if self._started is not None:
                past = torch.where(self._started.value > 0, past, x[..., :1])
                self._started.value.fill_(1)
            x = torch.cat((past, x), dim=-1)
            self._past.value.copy_(x[..., -self.context :])
        return functional.conv1d(
            x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups
        )


class StreamingConvTranspose:
    """A causal ``MimiConvTranspose1d``: ``[B, C, T]`` to ``[B, C', T * stride]``, T >= 1.

    The outputs that reach beyond the chunk are kept without bias and added to the next chunk, so
    that the bias counts once.
    """

    def __init__(self, module: nn.Module, bank: StateBank) -> None:
        conv = module.conv
        self.weight, self.groups, self.stride = conv.weight, conv.groups, conv.stride[0]
        self.bias = None if conv.bias is None else conv.bias[:, None]
        self.overlap = conv.kernel_size[0] - self.stride
        if module.padding_left:
            raise InputError(
                f"a codec with trim_right_ratio {module.trim_right_ratio} can't stream",
                "use a codec with use_causal_conv=True and trim_right_ratio=1.0",
            )
        self._tail = bank.reserve(conv.out_channels, self.overlap)

    def __call__(self, x: Tensor) -> Tensor:
        y = functional.conv_transpose1d(x, self.weight, None, self.stride, groups=self.groups)
        length = x.shape[-1] * self.stride
        y[..., : self.overlap] += self._tail.value
        self._tail.value.copy_(y[..., length:])
        y = y[..., :length]
        return y if self.bias is None else y + self.bias


class StreamingResidual:
    """A ``MimiResnetBlock``: ``[B, C, T]`` to ``[B, C, T]``."""

    def __init__(self, module: nn.Module, bank: StateBank) -> None:
        self._block = streaming_layers(module.block, bank)
        shortcut = module.shortcut
        self._shortcut = (
            None if isinstance(shortcut, nn.Identity) else StreamingConv(shortcut, bank)
        )

    def __call__(self, x: Tensor) -> Tensor:
        y = x
        for layer in self._block:
            y = layer(y)
        return y + (x if self._shortcut is None else self._shortcut(x))


def streaming_layers(modules: nn.ModuleList, bank: StateBank) -> list[Layer]:
    """The streaming form of a SEANet's layers, which share the modules' parameters."""
    from transformers.models.mimi import modeling_mimi as mimi

    layers: list[Layer] = []
    for module in modules:
        if isinstance(module, mimi.MimiConv1d):
            layers.append(StreamingConv(module, bank))
        elif isinstance(module, mimi.MimiConvTranspose1d):
            layers.append(StreamingConvTranspose(module, bank))
        elif isinstance(module, mimi.MimiResnetBlock):
            layers.append(StreamingResidual(module, bank))
        else:
            layers.append(module)
    return layers
