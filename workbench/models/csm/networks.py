"""CSM's networks as the frame step calls them: transformers' modules, shared, not copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from workbench.errors import InputError, ModelError
from workbench.models.csm.settings import FrameSettings

if TYPE_CHECKING:
    from transformers import CsmForConditionalGeneration


class DecoderLayer(nn.Module):
    """The parts of one Llama layer."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        attention, mlp = layer.self_attn, layer.mlp
        self.attention_norm, self.mlp_norm = layer.input_layernorm, layer.post_attention_layernorm
        self.out, self.down = attention.o_proj, mlp.down_proj
        self._take(attention, mlp)

    def _take(self, attention: Any, mlp: Any) -> None:
        self.query, self.key, self.value = attention.q_proj, attention.k_proj, attention.v_proj
        self.gate, self.up = mlp.gate_proj, mlp.up_proj

    def query_key_value(self, x: torch.Tensor) -> Sequence[torch.Tensor]:
        """``[B, T, H]`` → queries, keys and values ``[B, T, heads * D]``."""
        return self.query(x), self.key(x), self.value(x)

    def gate_and_up(self, x: torch.Tensor) -> Sequence[torch.Tensor]:
        """``[B, T, H]`` → the two inputs of the gated product ``[B, T, I]``."""
        return self.gate(x), self.up(x)


class FusedDecoderLayer(DecoderLayer):
    """One matmul for query, key and value, and one for gate and up.

    The fused weight takes the place of its parts', which become views of it: no memory is doubled
    and the transformers model keeps working.
    """

    def _take(self, attention: Any, mlp: Any) -> None:
        parts = [attention.q_proj, attention.k_proj, attention.v_proj]
        self.projection = joined(parts)
        self.widths = [part.out_features for part in parts]
        self.gate_up = joined([mlp.gate_proj, mlp.up_proj])

    def query_key_value(self, x: torch.Tensor) -> Sequence[torch.Tensor]:
        """See ``DecoderLayer``."""
        return self.projection(x).split(self.widths, dim=-1)

    def gate_and_up(self, x: torch.Tensor) -> Sequence[torch.Tensor]:
        """See ``DecoderLayer``."""
        return self.gate_up(x).chunk(2, dim=-1)


class Decoder(nn.Module):
    """A stack of layers, its last norm, and how its positions are rotated."""

    def __init__(self, stack: Any, fused: bool) -> None:
        super().__init__()
        self.config = stack.config
        make = FusedDecoderLayer if fused else DecoderLayer
        self.layers = nn.ModuleList(make(layer) for layer in stack.layers)
        self.norm = stack.norm
        self.rotary = stack.rotary_emb


class FrameNetworks(nn.Module):
    """What the frame step reads of a model, and what ``settings`` derive from it, made once.

    A module tree, so that it can be walked (to quantize its Linears, say). It holds no state of
    a request: any number of frame steps share it. ``depth_tables`` ``[K - 1, V, H]`` has the
    embeddings of codebooks 0 … K-2, folded with the projector where the settings say so.

    Raises InputError for a number of codebooks that the model doesn't have.
    """

    offsets: torch.Tensor
    depth_table: torch.Tensor

    def __init__(
        self, model: CsmForConditionalGeneration, settings: FrameSettings | None = None
    ) -> None:
        super().__init__()
        self.settings = settings = settings or FrameSettings()
        config = model.config
        self.codebooks = settings.codebooks or config.num_codebooks
        if not 2 <= self.codebooks <= config.num_codebooks:
            raise InputError(
                f"{self.codebooks} codebooks for a model of {config.num_codebooks}",
                f"use 2 to {config.num_codebooks}",
            )
        # As in transformers' generate, the model's last codebook has no say in the end of audio.
        self.ending_codebooks = min(self.codebooks, config.num_codebooks - 1)
        self.codes_per_book: int = config.codec_config.codebook_size
        self.eos: int = config.codebook_eos_token_id
        self.positions_limit: int = config.max_position_embeddings
        self.backbone = Decoder(model.backbone_model, settings.fused_projections)
        self.depth = Decoder(model.depth_decoder.model, settings.fused_projections)
        self.text_table = model.embed_text_tokens
        self.audio_table = model.backbone_model.embed_tokens.embed_audio_tokens
        self.head = model.lm_head
        self.projector = model.depth_decoder.model.inputs_embeds_projector
        self.depth_heads = model.depth_decoder.codebooks_head.weight  # [K-1, H, V]
        offsets = model.backbone_model.embed_tokens.audio_tokens_offsets[: self.codebooks]
        self.register_buffer("offsets", offsets, persistent=False)
        self.folded = settings.folded_depth_embedding
        table = model.depth_decoder.model.embed_tokens.weight
        rows = (config.num_codebooks - 1) * config.vocab_size
        if self.folded:
            self.register_buffer("depth_table", self._projected(table[:rows]), persistent=False)
        else:
            self.depth_table = table  # shared: a view would lose a later change of the weights
        self._table_shape = (config.num_codebooks - 1, config.vocab_size, -1)

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.head.weight.device

    def depth_tables(self) -> torch.Tensor:
        """Embeddings by codebook, ``[K - 1, V, H]``."""
        books, codes, _ = self._table_shape
        return self.depth_table[: books * codes].view(self._table_shape)

    def embed_depth(self, code: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """Codes ``[B]`` of one codebook → the depth decoder's input ``[B, H_depth]``."""
        embedded = F.embedding(code, table)
        return embedded if self.folded else self.projector(embedded)

    @torch.no_grad()
    def _projected(self, table: torch.Tensor) -> torch.Tensor:
        # In pieces, so that the peak is the table and not twice that.
        return torch.cat([self.projector(piece) for piece in table.split(4096)])


def joined(parts: Sequence[nn.Linear]) -> nn.Linear:
    """One Linear that gives the outputs of all ``parts`` side by side.

    Their weights become views of its weight. Raises ModelError for weights that are quantized
    already: fuse first; and beside an adapter that isn't merged, which would be lost.
    """
    if any(hasattr(part, "base_layer") for part in parts):
        raise ModelError(
            "projections with an unmerged adapter can't be fused", "load with merge_adapter=True"
        )
    weights = [part.weight for part in parts]
    plain = {type(weight) for weight in weights} == {nn.Parameter}
    if not plain or not all(type(weight.data) is torch.Tensor for weight in weights):
        raise ModelError(
            "projections with quantized weights can't be fused",
            "fuse the projections before the weights are quantized",
        )
    width = sum(part.out_features for part in parts)
    biased = parts[0].bias is not None
    fused = nn.Linear(parts[0].in_features, width, bias=biased, device="meta")
    fused.weight = nn.Parameter(_side_by_side(weights), requires_grad=False)
    if biased:
        bias = torch.cat([part.bias.detach() for part in parts])
        fused.bias = nn.Parameter(bias, requires_grad=False)
    pieces = fused.weight.detach().split([part.out_features for part in parts])
    for part, piece in zip(parts, pieces, strict=True):
        part.weight = nn.Parameter(piece, requires_grad=part.weight.requires_grad)
    return fused


def _side_by_side(weights: Sequence[torch.Tensor]) -> torch.Tensor:
    """``weights`` as one tensor: a view where they are fused already, else a copy."""
    first = weights[0].detach()
    place = first.storage_offset()
    for weight in weights:
        if (
            weight.untyped_storage().data_ptr() != first.untyped_storage().data_ptr()
            or weight.storage_offset() != place
            or not weight.is_contiguous()
        ):
            return torch.cat([weight.detach() for weight in weights])
        place += weight.numel()
    rows = sum(len(weight) for weight in weights)
    return first.as_strided((rows, first.shape[1]), (first.shape[1], 1), first.storage_offset())
