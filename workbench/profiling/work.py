"""The arithmetic and the traffic of an operator, from the shapes of its inputs.

Operations are multiply-adds × 2. Bytes are inputs read once and the output written once: what
must move at least, so achieved rates are from below.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import prod
from typing import NamedTuple

from workbench.profiling.events import Event

_BYTES = {
    "float": 4, "double": 8, "c10::BFloat16": 2, "c10::Half": 2, "signed char": 1,
    "unsigned char": 1, "long": 8, "long int": 8, "int": 4, "bool": 1,
}  # fmt: skip


class Work(NamedTuple):
    """What one call has to do at least."""

    flops: int
    bytes: int


def work_of(event: Event) -> Work | None:
    """The work of an operator; None where its kind or its shapes aren't known here."""
    if event.work is not None:
        return Work(*event.work)
    rule = _RULES.get(event.name)
    if rule is None:
        return None
    try:
        flops, outputs = rule(event)
    except (IndexError, TypeError, ValueError):  # shapes that weren't recorded, or of another form
        return None
    size = max((_BYTES.get(name, 0) for name in event.types), default=0)
    tensors = [shape for shape in event.shapes if _is_shape(shape)]
    inputs = sum(
        prod(shape) * _BYTES.get(name, 0)
        for shape, name in zip(event.shapes, event.types, strict=False)
        if shape in tensors
    )
    return Work(flops, inputs + outputs * size)


def _is_shape(shape: object) -> bool:
    return isinstance(shape, list) and bool(shape) and all(isinstance(n, int) for n in shape)


def _product(first: int, second: int) -> Callable[[Event], tuple[int, int]]:
    """``[…, M, K] @ [K, N]`` or ``[B, K, N]`` at these places; gives flops and output elements."""

    def rule(event: Event) -> tuple[int, int]:
        left, right = event.shapes[first], event.shapes[second]
        columns = right[-1] if len(right) > 1 else 1
        outputs = prod(left[:-1]) * columns
        return 2 * outputs * left[-1], outputs

    return rule


def _linear(event: Event) -> tuple[int, int]:
    rows, weight = event.shapes[0], event.shapes[1]  # [..., K], [N, K]
    outputs = prod(rows[:-1]) * weight[0]
    return 2 * outputs * rows[-1], outputs


def _attention(event: Event) -> tuple[int, int]:
    """Both products over all keys; a causal mask saves none of it here."""
    query, key, value = event.shapes[:3]  # [B, H, L, E], [B, H, S, E], [B, H, S, V]
    outputs = prod(query[:-1]) * value[-1]
    return 2 * prod(query[:-1]) * key[-2] * query[-1] + 2 * outputs * key[-2], outputs


def _convolution(event: Event) -> tuple[int, int]:
    """aten::convolution(input, weight, bias, stride, padding, dilation, transposed, …, groups)."""
    given, weight = event.shapes[:2]
    if not given or not weight:
        raise ValueError("no shapes")
    stride, padding, dilation = (json.loads(event.values[place]) for place in (3, 4, 5))
    spatial, kernel = given[2:], weight[2:]
    if event.values[6] == "True":
        applied = prod(spatial)
        outputs = given[0] * weight[1] * int(event.values[8]) * applied * prod(stride)
    else:
        sizes = [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(spatial, kernel, stride, padding, dilation, strict=True)
        ]
        applied = prod(sizes)
        outputs = given[0] * weight[0] * applied
    return 2 * given[0] * prod(weight) * applied, outputs


_RULES: dict[str, Callable[[Event], tuple[int, int]]] = {
    "aten::mm": _product(0, 1),
    "aten::bmm": _product(0, 1),
    "aten::mv": _product(0, 1),
    "aten::_int_mm": _product(0, 1),
    "aten::addmm": _product(1, 2),
    "aten::baddbmm": _product(1, 2),
    "aten::addmv": _product(1, 2),
    "aten::linear": _linear,
    "workbench::int8_linear": _linear,
    "workbench::int4_linear": _linear,
    "aten::scaled_dot_product_attention": _attention,
    "aten::convolution": _convolution,
}
