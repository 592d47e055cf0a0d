"""Weights as the native layers read them, and what a product with them takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from workbench.errors import InputError, ModelError
from workbench.native.int4 import BLOCK, Int4Linear
from workbench.native.layer_structures import TYPES, CMatrix
from workbench.native.linear import Int8Linear
from workbench.pages import ask_for_huge_pages

_PIECE = 1024  # rows that are compared with their bfloat16 at a time


class Work(NamedTuple):
    """Operations (multiply-adds × 2) of a row, and bytes of weights that all rows share."""

    flops: int
    bytes: int

    @classmethod
    def of(cls, matrices: Iterable[Matrix]) -> Work:
        """That of several products, one after another."""
        each = [matrix.work for matrix in matrices]
        return cls(sum(one.flops for one in each), sum(one.bytes for one in each))


class Matrix:
    """Weights ``[O, I]`` as the kernels read them: float32, bfloat16, or codes with ``scales``.

    int8 codes have ``scales`` ``[O, 1]`` float32; codes of 4 bits, uint8 ``[O, I / 2]``, those of
    `workbench.native.int4.quantize_int4`. ``bias`` is ``[O]`` float32. Raises InputError for other
    types, shapes and devices than the CPU.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, scales: Tensor | None = None):
        if weight.device.type != "cpu" or weight.ndim != 2 or weight.dtype not in TYPES:
            raise InputError(
                f"weights of shape {list(weight.shape)} and type {weight.dtype} on {weight.device}",
                "pass [O, I] of float32, bfloat16, int8 or int4's codes on the CPU",
            )
        outputs, inputs = weight.shape
        if weight.dtype == torch.uint8:
            inputs *= 2
        coded = weight.dtype in (torch.int8, torch.uint8)
        if (scales is not None) != coded:
            raise InputError(f"scales for weights of type {weight.dtype}", "only codes have scales")
        groups = 1 if weight.dtype == torch.int8 else inputs // BLOCK
        if scales is not None and scales.shape != (outputs, groups):
            raise InputError(f"scales of shape {list(scales.shape)}", f"pass [{outputs}, {groups}]")
        self.weight = _compact(weight.detach())
        ask_for_huge_pages(self.weight.data_ptr(), self.weight.nbytes)
        self.scales = None
        if scales is not None:
            kept = torch.float32 if weight.dtype == torch.int8 else torch.bfloat16
            self.scales = scales.detach().to(kept).contiguous()
        self.bias = None if bias is None else floats(bias)
        self.c = CMatrix(
            weight=self.weight.data_ptr(),
            scales=address(self.scales),
            bias=address(self.bias),
            outputs=outputs,
            inputs=inputs,
            type=TYPES[self.weight.dtype],
        )

    @property
    def work(self) -> Work:
        """What one row's product takes."""
        scales = 0 if self.scales is None else self.scales.nbytes
        return Work(2 * self.c.outputs * self.c.inputs, self.weight.nbytes + scales)

    @classmethod
    def of(cls, linear: nn.Module, outputs: int | None = None) -> Matrix:
        """That of a linear layer (``nn``, int8 or int4), or of its first ``outputs``.

        Raises ModelError for any other module.
        """
        rows = slice(outputs)
        if isinstance(linear, (Int8Linear, Int4Linear)):
            bias = None if linear.bias is None else linear.bias[rows]
            return cls(linear.weight[rows], bias, linear.scales[rows])
        if not isinstance(linear, nn.Linear) or type(linear.weight.data) is not Tensor:
            raise ModelError(
                f"the native layers can't read {type(linear).__name__} weights",
                "use float32, bfloat16, native_int8 or native_int4 weights",
            )
        return cls(linear.weight[rows], None if linear.bias is None else linear.bias[rows])


def floats(numbers: Tensor) -> Tensor:
    """``numbers`` as contiguous float32."""
    return numbers.detach().float().contiguous()


def address(tensor: Tensor | None) -> int | None:
    """Where ``tensor`` lies; None, C's null, for none."""
    return None if tensor is None else tensor.data_ptr()


def _compact(weight: Tensor) -> Tensor:
    """bfloat16 where that holds ``weight`` exactly; contiguous."""
    if weight.dtype == torch.float32 and all(
        torch.equal(piece.bfloat16().float(), piece) for piece in weight.split(_PIECE)
    ):
        weight = weight.bfloat16()
    return weight.contiguous()
