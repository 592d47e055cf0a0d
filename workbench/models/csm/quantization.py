"""8-bit integer weights for CSM's networks, by torchao or our own kernel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from torch import nn

from workbench.errors import ModelError

Kind = Literal["int8", "int8_dynamic", "native_int8"]


def quantize(networks: Iterable[nn.Module], kind: Kind) -> int:
    """Quantizes all linear layers of ``networks`` in place; returns their number.

    ``int8`` rounds weights, one scale a row; ``int8_dynamic`` also rounds inputs as they come;
    ``native_int8`` is ``int8`` by our own kernel. Projections that are to be fused must be by now.
    Raises ModelError where torchao is missing.
    """
    if kind == "native_int8":
        return _native(networks)
    try:
        from torchao.quantization import (
            Int8DynamicActivationInt8WeightConfig,
            Int8WeightOnlyConfig,
            quantize_,
        )
    except ImportError as problem:
        raise ModelError(
            f"{kind} needs torchao: {problem}", "pip install 'workbench[int8]'"
        ) from problem
    make: Any = Int8WeightOnlyConfig if kind == "int8" else Int8DynamicActivationInt8WeightConfig
    together = nn.ModuleList(networks)
    # torchao would otherwise set inductor's options and float32 precision for the process.
    quantize_(together, make(set_inductor_config=False))
    return sum(isinstance(part, nn.Linear) for part in together.modules())


def _native(networks: Iterable[nn.Module]) -> int:
    from workbench.native.linear import Int8Linear

    linears = [
        part
        for part in nn.ModuleList(networks).modules()
        if type(part) is nn.Linear  # not one that is quantized already
    ]
    for linear in linears:
        Int8Linear.convert(linear)
    return len(linears)
