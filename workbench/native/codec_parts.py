"""A native codec's parts: filters, packed as the kernels read them, and what they make up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.errors import InputError
from workbench.native.codec_structures import CFilter
from workbench.pages import ask_for_huge_pages

_PANEL = 16  # outputs whose weights lie side by side, kPanel in C


class Filter:
    """A causal filter's weights as the kernels read them, from ``weight`` ``[O, C, K]``.

    With ``repeat`` it is a transposed convolution's, ``[O, C, 2 * repeat]``. ``depthwise`` weights
    are ``[C, 1, …]``, each input's own. ``bias`` is ``[O]``. They are copied, as float32.
    ``replicate``: before a stream lies its first input, not 0. Raises InputError for other shapes.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None = None,
        *,
        dilation: int = 1,
        repeat: int = 0,
        replicate: bool = False,
        depthwise: bool = False,
    ) -> None:
        weight = weight.detach().float().cpu()
        if weight.ndim != 3 or (repeat and weight.shape[2] != 2 * repeat):
            raise InputError(
                f"weights of shape {list(weight.shape)}", "pass [O, C, K], K twice `repeat`"
            )
        outputs, inputs, taps = weight.shape
        if repeat:  # the later half belongs to the row before
            weight = weight.view(outputs, inputs, 2, repeat).flip(2).permute(3, 0, 1, 2)
            taps = 2
        else:
            weight = weight[None]  # [R, O, C, K]
        times = len(weight)
        if depthwise:
            inputs = outputs
            packed = weight[:, :, 0].permute(2, 0, 1)  # [K, R, C]
        else:
            packed = weight.flatten(0, 1).transpose(1, 2).flatten(1)  # [R * O, K * C]
            if len(packed) > 1:
                packed = _panels(packed).transpose(1, 2)
        self._weight = packed.clone(memory_format=torch.contiguous_format)
        ask_for_huge_pages(self._weight.data_ptr(), self._weight.nbytes)
        self._bias = None
        if bias is not None:
            self._bias = _panels(bias.detach().float().cpu().repeat(times)).contiguous()
        self.c = CFilter(
            weight=self._weight.data_ptr(),
            bias=None if self._bias is None else self._bias.data_ptr(),
            inputs=inputs,
            outputs=outputs * times,
            taps=taps,
            dilation=dilation,
            repeat=times,
            replicate=replicate,
            depthwise=depthwise,
        )

    @property
    def weights(self) -> int:
        """How many one application multiplies."""
        return self.c.outputs * self.c.taps * (1 if self.c.depthwise else self.c.inputs)


@dataclass(frozen=True)
class DecoderLayer:
    """A layer of the transformer: norms as (weight, bias), and linear filters.

    ``query_key_value`` has the outputs of all query heads, then the keys' and the values'.
    """

    attention_norm: tuple[Tensor, Tensor]
    query_key_value: Filter
    out: Filter
    mlp_norm: tuple[Tensor, Tensor]
    up: Filter
    down: Filter


@dataclass(frozen=True)
class Attention:
    """How the transformer attends: ``frequencies`` ``[D / 2]`` are radians a position."""

    heads: int
    groups: int
    head_dim: int
    window: int
    frequencies: Tensor
    rotary_scale: float
    epsilon: float


@dataclass(frozen=True)
class Residual:
    """x + widen(elu(narrow(elu(x)))), x through ``shortcut`` where there is one."""

    narrow: Filter
    widen: Filter
    shortcut: Filter | None = None


@dataclass(frozen=True)
class Upsampling:
    """A transposed convolution after an ELU, and the blocks behind it."""

    up: Filter
    residuals: Sequence[Residual]


def _panels(rows: Tensor) -> Tensor:
    """``[O, …]`` as ``[ceil(O / 16), 16, …]``, zeros behind the last."""
    missing = -len(rows) % _PANEL
    if missing:
        rows = torch.cat((rows, rows.new_zeros(missing, *rows.shape[1:])))
    return rows.unflatten(0, (-1, _PANEL))
