"""Causal convolutions of Mimi that carry their context from chunk to chunk.

A causal convolution needs the last ``kernel - stride`` inputs of the chunk before; a transposed
one adds the last ``kernel - stride`` outputs of the chunk before to its first ones. Both follow
from the definition of the layers (Mimi: Défossez et al., Moshi, arXiv 2410.00037).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.errors import InputError
from workbench.models.mimi.state import StateBank

Layer = Callable[[Tensor], Tensor]

SHORT = 16  # outputs: below, a product with time in rows beats conv1d on a CPU (7 times at 2)


class StreamingConv:
    """A causal ``MimiConv1d`` that carries its last inputs.

    Before the first chunk the context is zero, or with ``pad_mode`` "replicate" the stream's
    first input, as offline.
    """

    def __init__(self, module: Any, bank: StateBank) -> None:
        conv = module.conv
        self.weight, self.bias = conv.weight, conv.bias
        self.stride, self.dilation, self.groups = conv.stride[0], conv.dilation[0], conv.groups
        self.kernel = (conv.kernel_size[0] - 1) * self.dilation + 1
        self.context = self.kernel - self.stride
        self.replicate = module.pad_mode == "replicate"
        if not module.causal or module.pad_mode not in ("constant", "replicate"):
            raise InputError(
                f"a codec with pad_mode {module.pad_mode!r} and causal {module.causal}",
                "use one with use_causal_conv=True and pad_mode 'constant' or 'replicate'",
            )
        if self.context < 0:
            raise InputError(
                f"a codec with a convolution of kernel {self.kernel}, stride {self.stride}",
                "use one whose kernels are at least as long as their strides",
            )
        self._past = bank.reserve(conv.in_channels, self.context)
        self._started = bank.reserve(1, 1) if self.replicate else None

    def __call__(self, x: Tensor, final: bool = False) -> Tensor:
        """``[B, C, T]`` to ``[B, C', T / stride]``, T >= 1 a multiple of the stride.

        With ``final`` T may be any: the chunk is padded on the right, as offline.
        """
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
        if self.groups == 1 and x.shape[-1] - self.context < SHORT * self.stride:
            windows = x.unfold(-1, self.kernel, self.stride)[..., :: self.dilation]
            rows = windows.transpose(1, 2).flatten(2)  # [B, T / stride, C * kernel]
            return functional.linear(rows, self.weight.flatten(1), self.bias).transpose(1, 2)
        return functional.conv1d(
            x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups
        )


class StreamingConvTranspose:
    """A causal ``MimiConvTranspose1d`` (kernel 2 * stride) that carries its last output's tail.

    Each input gives ``2 * stride`` outputs, the second half of which is added to the first half
    of the next input's. As products with time in rows this is far quicker on a CPU than
    ``conv_transpose1d`` (12 times for 256 to 128 channels, 2 steps). The bias joins the sum, once.
    """

    def __init__(self, module: Any, bank: StateBank) -> None:
        conv = module.conv
        self.weight, self.groups, self.stride = conv.weight, conv.groups, conv.stride[0]
        self.bias = None if conv.bias is None else conv.bias[:, None]
        if module.padding_left or conv.kernel_size[0] != 2 * self.stride:
            raise InputError(
                f"a codec with trim_right_ratio {module.trim_right_ratio}, transposed kernel "
                f"{conv.kernel_size[0]} and stride {self.stride}",
                "use one with use_causal_conv=True, trim_right_ratio=1.0, kernels twice the stride",
            )
        self._tail = bank.reserve(conv.out_channels, 1, self.stride)

    def __call__(self, x: Tensor) -> Tensor:
        """``[B, C, T]`` to ``[B, C', T * stride]``, T >= 1."""
        batch, channels, length = x.shape
        group = channels // self.groups
        rows = x.view(batch, self.groups, group, length).transpose(2, 3)  # [B, G, T, C / G]
        halves = (rows @ self.weight.view(self.groups, group, -1)).view(
            batch, self.groups, length, -1, 2, self.stride
        )
        halves = halves.transpose(2, 3).flatten(1, 2)  # [B, C', T, 2, stride]
        late = halves[:, :, :, 1]
        y = torch.cat((self._tail.value, late[:, :, :-1]), dim=2)
        self._tail.value.copy_(late[:, :, -1:])
        y = y.add_(halves[:, :, :, 0]).flatten(2)
        return y if self.bias is None else y.add_(self.bias)


class StreamingResidual:
    """A ``MimiResnetBlock``."""

    def __init__(self, module: Any, bank: StateBank) -> None:
        self.block = streaming_layers(module.block, bank)
        shortcut = module.shortcut
        self.shortcut = None if isinstance(shortcut, nn.Identity) else StreamingConv(shortcut, bank)

    def __call__(self, x: Tensor) -> Tensor:
        """``[B, C, T]`` to ``[B, C, T]``."""
        y = x
        for layer in self.block:
            y = layer(y)
        return y + (x if self.shortcut is None else self.shortcut(x))


def streaming_layers(modules: Iterable[Any], bank: StateBank) -> list[Layer]:
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
