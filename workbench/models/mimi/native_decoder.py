"""Mimi's decoder in native calls: a transformers codec's weights for our own kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from workbench.errors import InputError, ModelError
from workbench.models.mimi.attention import WindowedTransformer
from workbench.models.mimi.convolution import (
    StreamingConv,
    StreamingConvTranspose,
    StreamingResidual,
    streaming_layers,
)
from workbench.models.mimi.decoder import DecoderStream, check_sizes, decoder_parts
from workbench.models.mimi.quantizer import Codebooks
from workbench.models.mimi.rows import Rows, row_mask
from workbench.models.mimi.state import StateBank
from workbench.native.codec import Decoder, Streams
from workbench.native.codec_parts import Attention, DecoderLayer, Filter, Residual, Upsampling

if TYPE_CHECKING:
    from transformers import MimiModel


class NativeDecoderStream(DecoderStream):
    """``DecoderStream`` in one native call a step, on the CPU, in float32.

    ``decoder`` (see ``native_decoder``) is shared by all streams of a codec. Of codes that there
    aren't, ``frame`` raises InputError, too; a step that fails changes nothing. A stream has the
    same bits in any chunks.
    """

    @torch.inference_mode(False)  # state made under inference mode couldn't be updated outside
    def __init__(self, decoder: Decoder, batch_size: int = 1, max_step_frames: int = 8) -> None:
        self._streams = Streams(decoder, batch_size, max_step_frames)
        self.batch_size, self.max_step_frames = batch_size, max_step_frames
        self.device = torch.device("cpu")
        self.num_quantizers, self.entries = decoder.books, decoder.entries
        self.frame_samples = decoder.samples

    def state(self) -> list[Tensor]:
        """See ``DecoderStream``; the window's keys and values included."""
        return self._streams.tensors

    def reset(self, rows: Rows = None) -> None:
        """See ``DecoderStream``."""
        self._streams.reset(row_mask(rows, self.batch_size, self.device))

    def _advance(self, codes: Tensor, active: Tensor | None) -> Tensor:
        return self._streams.step(codes, active)


@torch.no_grad()
def native_decoder(codec: MimiModel) -> Decoder:
    """The decoder's weights, copied as float32; its layers' scales become part of its products.

    Raises InputError for codecs that can't be streamed, and ModelError for one that isn't on the
    CPU, has another activation than GELU, and where the kernels aren't built.
    """
    check_sizes(codec, 1, 1)
    if codec.device.type != "cpu" or codec.config.hidden_act != "gelu":
        raise ModelError(
            f"the native codec can't decode on {codec.device} with {codec.config.hidden_act}",
            "leave native_codec out",
        )
    upsample, transformer, seanet = decoder_parts(codec)
    bank = StateBank(1)  # the streaming layers check what they stand for; their state isn't used
    books = Codebooks(codec.quantizer)
    attention = WindowedTransformer(transformer, 1, 1, codec.device, codec.dtype)
    first, stages, last = _seanet(streaming_layers(seanet.layers, bank))
    return Decoder(
        table=books.table.view(books.count, books.size, -1),
        semantic=books.semantic,
        projections=(_projection(books.outputs[0]), _projection(books.outputs[1])),
        upsample=_transposed(StreamingConvTranspose(upsample, bank)),
        layers=[_layer(layer) for layer in attention.layers],
        attention=Attention(
            heads=attention.heads,
            groups=attention.kv_heads,
            head_dim=attention.head_dim,
            window=attention.window,
            frequencies=attention.rotary.inv_freq,
            rotary_scale=attention.rotary.attention_scaling,
            epsilon=codec.config.norm_eps,
        ),
        first=first,
        stages=stages,
        last=last,
    )


def _seanet(layers: list[Any]) -> tuple[Filter, list[Upsampling], Filter]:
    """A SEANet decoder's layers: a convolution, upsamplings with residual blocks, a convolution.

    There is an ELU before each but the first, the blocks' own included.
    """
    stages: list[tuple[Filter, list[Residual]]] = []
    for layer in layers[1:-1]:
        if isinstance(layer, StreamingConvTranspose):
            stages.append((_transposed(layer), []))
        elif isinstance(layer, StreamingResidual) and stages:
            narrow, widen = (one for one in layer.block if isinstance(one, StreamingConv))
            shortcut = None if layer.shortcut is None else _conv(layer.shortcut)
            stages[-1][1].append(Residual(_conv(narrow), _conv(widen), shortcut))
        elif not isinstance(layer, nn.ELU):
            raise InputError(
                f"a codec whose decoder has a {type(layer).__name__}", "leave native_codec out"
            )
    return _conv(layers[0]), [Upsampling(*stage) for stage in stages], _conv(layers[-1])


def _layer(layer: Any) -> DecoderLayer:
    """A ``MimiTransformerLayer``."""
    attention = layer.self_attn
    inputs = (attention.q_proj, attention.k_proj, attention.v_proj)
    biases = [one.bias for one in inputs if one.bias is not None]
    fused = torch.cat([one.weight for one in inputs])
    norms = (layer.input_layernorm, layer.post_attention_layernorm)
    return DecoderLayer(
        attention_norm=(norms[0].weight, norms[0].bias),
        query_key_value=Filter(fused[..., None], torch.cat(biases) if biases else None),
        out=_linear(attention.o_proj, layer.self_attn_layer_scale.scale),
        mlp_norm=(norms[1].weight, norms[1].bias),
        up=_linear(layer.mlp.fc1),
        down=_linear(layer.mlp.fc2, layer.mlp_layer_scale.scale),
    )


def _linear(linear: nn.Linear, scale: Tensor | None = None) -> Filter:
    """A linear layer whose outputs are multiplied by ``scale`` ``[O]``."""
    scale = torch.ones(linear.out_features) if scale is None else scale.float()
    bias = None if linear.bias is None else linear.bias.float() * scale
    return Filter((linear.weight.float() * scale[:, None])[..., None], bias)


def _projection(matrix: Tensor | None) -> Filter | None:
    return None if matrix is None else Filter(matrix[..., None])


def _conv(conv: StreamingConv) -> Filter:
    if conv.groups != 1 or conv.stride != 1:
        raise InputError(
            f"a codec whose decoder has a convolution of {conv.groups} groups and "
            f"stride {conv.stride}",
            "leave native_codec out",
        )
    return Filter(conv.weight, conv.bias, dilation=conv.dilation, replicate=conv.replicate)


def _transposed(conv: StreamingConvTranspose) -> Filter:
    weight, groups = conv.weight, conv.groups  # [I, O / G, K]
    inputs, outputs, kernel = weight.shape
    if groups == inputs and outputs == 1 and conv.bias is None:
        return Filter(weight, repeat=conv.stride, depthwise=True)
    dense = weight.new_zeros(groups, outputs, inputs, kernel)
    for group, (mine, all_inputs) in enumerate(zip(weight.chunk(groups), dense, strict=True)):
        begin = group * len(mine)
        all_inputs[:, begin : begin + len(mine)] = mine.transpose(0, 1)
    bias = None if conv.bias is None else conv.bias.flatten()
    return Filter(dense.flatten(0, 1), bias, repeat=conv.stride)
