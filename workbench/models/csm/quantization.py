"""8-bit and 4-bit weights for CSM's networks, by torchao or our own kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import nn

from workbench.errors import ModelError

Kind = Literal["int8", "int8_dynamic", "fp8", "native_int8", "native_int4"]


def quantize(networks: Sequence[nn.Module], kind: Kind) -> int:
    """Quantizes all linear layers of ``networks`` in place; returns their number.

    ``networks`` are the backbone, the depth decoder, and what there is beside them.
    ``int8`` rounds weights, one scale a row; ``int8_dynamic`` also rounds inputs as they come;
    ``fp8`` rounds weights to e4m3, one scale a row; ``native_int8`` is ``int8`` by our own kernel;
    ``native_int4`` takes the depth decoder's layers only, a scale for each 32 weights, and 8 bits
    where 32 doesn't divide a layer's inputs. Projections that are to be fused must be by now.
    Raises ModelError where torchao is missing.
    """
    if kind == "native_int8":
        return _native(networks)
    if kind == "native_int4":
        return _native(networks[1:2], int4=True)
    try:
        import torchao.quantization as torchao
    except ImportError as problem:
        raise ModelError(
            f"{kind} needs torchao: {problem}", "pip install 'workbench[int8]'"
        ) from problem
    make: dict[str, Any] = {
        "int8": torchao.Int8WeightOnlyConfig,
        "int8_dynamic": torchao.Int8DynamicActivationInt8WeightConfig,
        "fp8": torchao.Float8WeightOnlyConfig,
    }
    together = nn.ModuleList(networks)
    # torchao would otherwise set inductor's options and float32 precision for the process.
    torchao.quantize_(together, make[kind](set_inductor_config=False))
    return sum(isinstance(part, nn.Linear) for part in together.modules())


def _native(networks: Sequence[nn.Module], *, int4: bool = False) -> int:
    from workbench.native.int4 import BLOCK, Int4Linear
    from workbench.native.linear import Int8Linear

    linears = [
        part
        for part in nn.ModuleList(networks).modules()
        if type(part) is nn.Linear  # not one that is quantized already
    ]
    for linear in linears:
        if int4 and linear.in_features % BLOCK == 0:
            Int4Linear.convert(linear)
        else:
            Int8Linear.convert(linear)
    return len(linears)
