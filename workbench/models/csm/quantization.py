"""8-bit integer weights for CSM's networks, by torchao."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from torch import nn

from workbench.errors import ModelError

if TYPE_CHECKING:
    from transformers import CsmForConditionalGeneration

Kind = Literal["int8", "int8_dynamic"]


def quantize(model: CsmForConditionalGeneration, kind: Kind) -> int:
    """Quantizes the linear layers of backbone and depth decoder in place; returns their number.

    ``int8`` rounds weights, one scale a row; ``int8_dynamic`` also rounds inputs as they come. The
    first codebook's head, the depth decoder's heads (one ``[K-1, H, V]`` tensor, not layers) and
    the codec stay as they are. Raises ModelError where torchao is missing.
    """
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
    networks: tuple[Any, ...] = (model.backbone_model, model.depth_decoder.model)
    for network in networks:
        # torchao would otherwise set inductor's options and float32 precision for the process.
        quantize_(network, make(set_inductor_config=False))
    return sum(isinstance(part, nn.Linear) for network in networks for part in network.modules())
