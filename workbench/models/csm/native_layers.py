"""CSM's frame in two native calls: the backbone's read and the depth decoder's whole loop.

A third call reads a prompt, where it isn't long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from workbench.errors import ModelError
from workbench.models.csm.frame import FrameStep, Stage, untimed
from workbench.models.csm.networks import FrameNetworks, FusedDecoderLayer
from workbench.models.csm.transformer import CachedTransformer
from workbench.native.frame import Frame
from workbench.native.layers import Layer, Stack
from workbench.native.matrix import Matrix

# Numbers of a prompt's hidden states that caches hold beside the weights; beyond, and for 16-bit
# networks, PyTorch's products are as quick or quicker.
_PROMPT_NUMBERS = 1 << 16


@dataclass(frozen=True)
class _Projections:
    """One layer's weights, shared by all frame steps."""

    query_key_value: Matrix
    out: Matrix
    gate_up: Matrix
    down: Matrix


class NativeLayers:
    """An accelerator: gives frame steps a native ``read_prompt``, ``read`` and ``write``.

    The networks' weights are read as they are at the first frame step, and shared by those that
    follow (see ``workbench.native.layers`` for what that costs in memory; the depth decoder's
    heads are copied, transposed). Hidden states stay float32 between the two calls.

    Raises ModelError for networks without fused projections, folded depth embedding and sync-free
    sampling, for weights other than float32, bfloat16 and our int8, and where the kernels aren't
    built.
    """

    def __init__(self) -> None:
        self._networks: FrameNetworks | None = None
        self._weights: _Weights | None = None

    def __call__(self, step: FrameStep) -> None:
        """Replaces ``step``'s functions."""
        if self._weights is None or self._networks is not step.networks:
            self._networks, self._weights = step.networks, _Weights(step.networks)
        native = _NativeStep(step, self._weights)
        step.read_prompt, step.read, step.write = native.read_prompt, native.read, native.write


class _Weights:
    """What does not depend on a frame step's caches."""

    def __init__(self, networks: FrameNetworks) -> None:
        settings = networks.settings
        if not (
            settings.fused_projections
            and settings.folded_depth_embedding
            and settings.sync_free_sampling
        ):
            raise ModelError(
                "the native layers need fused projections, a folded depth embedding and sync-free "
                "sampling",
                "add fused_projections, folded_depth_embedding and sync_free_sampling",
            )
        codes, books = networks.codes_per_book, networks.codebooks
        self.backbone = _projections(networks.backbone.layers)
        self.depth = _projections(networks.depth.layers)
        self.head = Matrix.of(networks.head, codes)
        self.projector = Matrix.of(networks.projector)
        self.depth_heads = [
            Matrix(one[:, :codes].T.contiguous())
            for one in networks.depth_heads[: books - 1].detach().unbind()
        ]
        self.depth_table = networks.depth_tables().detach().contiguous()
        self.audio_table = networks.audio_table.weight.detach().unflatten(
            0, (-1, self.depth_table.shape[1])
        )


def _projections(layers: Any) -> list[_Projections]:
    made = []
    for layer in layers:
        assert isinstance(layer, FusedDecoderLayer)
        parts = (layer.projection, layer.out, layer.gate_up, layer.down)
        made.append(_Projections(*map(Matrix.of, parts)))
    return made


class _NativeStep:
    """The native functions of one frame step."""

    def __init__(self, step: FrameStep, weights: _Weights) -> None:
        self._step = step
        self._backbone = _stack(step.backbone, weights.backbone)
        self._frame = Frame(
            backbone=self._backbone,
            depth=_stack(step.depth, weights.depth),
            head=weights.head,
            projector=weights.projector,
            depth_heads=weights.depth_heads,
            audio_table=weights.audio_table,
            depth_table=weights.depth_table,
        )

    def read_prompt(self, x: torch.Tensor, rows: torch.Tensor | None = None) -> torch.Tensor:
        """See ``CachedTransformer.prefill``, which reads long prompts, those of 16-bit networks,
        and those of some rows only.
        """
        backbone = self._step.backbone
        if rows is not None or x.dtype != torch.float32 or x.numel() > _PROMPT_NUMBERS:
            return backbone.prefill(x, rows)
        return self._backbone.step(x, backbone.slots[: x.shape[1]].expand(len(x), -1))

    def read(
        self, codes: torch.Tensor, positions: torch.Tensor, _slots: torch.Tensor
    ) -> torch.Tensor:
        """See ``FrameStep.read``; each row reads its cache as far as it is filled."""
        return self._frame.read(codes, positions)

    def write(
        self,
        hidden: torch.Tensor,
        stage: Stage = untimed,
        _generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """See ``FrameStep.write``; codebook 0 counts as the depth decoder's work."""
        sampling = self._step.sampling
        with stage("depth"):
            return self._frame.write(
                hidden,
                (sampling.temperature, sampling.depth_temperature),
                (sampling.top_k, sampling.depth_top_k),
                None if sampling.is_greedy else self._step.noise,
            )


def _stack(transformer: CachedTransformer, layers: Sequence[_Projections]) -> Stack:
    """The native stack over a transformer's norms, rotations and caches."""
    parts = [
        Layer(
            attention_norm=layer.attention_norm.weight,
            query_key_value=weights.query_key_value,
            out=weights.out,
            mlp_norm=layer.mlp_norm.weight,
            gate_up=weights.gate_up,
            down=weights.down,
            keys=keys,
            values=values,
        )
        for layer, weights, keys, values in zip(
            transformer.layers, layers, transformer.keys, transformer.values, strict=True
        )
    ]
    return Stack(
        parts,
        transformer.norm.weight,
        transformer.cos,
        transformer.sin,
        heads=transformer.heads,
        groups=transformer.groups,
        epsilon=transformer.norm.variance_epsilon,
    )
