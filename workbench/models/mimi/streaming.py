"""Exact streaming of Mimi: chunks in, chunks out, their concatenation equal to the offline pass.

transformers' ``MimiModel`` supplies configuration and weights (shared, not copied). Every
causal convolution, transposed convolution and attention window keeps its state in static
buffers that are updated in place, without a look at any value on the host, so that a one-frame
step can be captured in a CUDA graph or compiled. Method: streaming as in Kyutai's Moshi
(Défossez et al., arXiv 2410.00037), where Mimi is causal throughout.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from workbench.errors import InputError
from workbench.models.mimi.attention import WindowedTransformer
from workbench.models.mimi.convolution import (
    StreamingConv,
    StreamingConvTranspose,
    streaming_layers,
)
from workbench.models.mimi.decoder import DecoderStream, check_sizes, decoder_parts
from workbench.models.mimi.onednn import right_convolutions
from workbench.models.mimi.quantizer import Codebooks
from workbench.models.mimi.rows import Rows, check_active, check_device, row_mask
from workbench.models.mimi.state import StateBank

if TYPE_CHECKING:
    from transformers import MimiModel


class MimiDecoderStream(DecoderStream):
    """``DecoderStream`` in PyTorch, on any device, for any type of weights."""

    @torch.inference_mode(False)  # state made under inference mode couldn't be updated outside
    def __init__(self, codec: MimiModel, batch_size: int = 1, max_step_frames: int = 8) -> None:
        check_sizes(codec, batch_size, max_step_frames)
        upsample, transformer, seanet = decoder_parts(codec)
        self.batch_size = batch_size
        self.max_step_frames = max_step_frames
        self.device, self.dtype = codec.device, codec.dtype
        self.codebooks = Codebooks(codec.quantizer)
        self.num_quantizers, self.entries = self.codebooks.count, self.codebooks.size
        self._bank = StateBank(batch_size)
        self._upsample = StreamingConvTranspose(upsample, self._bank)
        self._transformer = WindowedTransformer(
            transformer,
            batch_size,
            max_step_frames * self._upsample.stride,
            self.device,
            self.dtype,
        )
        self._layers = streaming_layers(seanet.layers, self._bank)
        self._bank.allocate(self.device, self.dtype)
        self.frame_samples = self._upsample.stride * prod(codec.config.upsampling_ratios)

    def state(self) -> list[Tensor]:
        """See ``DecoderStream``; without the window's ring, in which a frame that is done again
        overwrites itself.
        """
        return [self._bank.flat, self._transformer.position]

    @torch.no_grad()
    def reset(self, rows: Rows = None) -> None:
        """See ``DecoderStream``."""
        mask = row_mask(rows, self.batch_size, self.device)
        self._bank.reset(mask)
        self._transformer.reset(mask)

    @torch.no_grad()
    def _advance(self, codes: Tensor, active: Tensor | None) -> Tensor:
        before = None if active is None else self._bank.flat.clone()
        x = self.codebooks.decode(codes).transpose(1, 2)  # [B, C, T]
        x = self._upsample(x).transpose(1, 2)  # [B, 2 T, C]
        x = self._transformer(x, active).transpose(1, 2)
        for layer in self._layers:
            x = layer(x)
        pcm = x[:, 0]
        if active is None or before is None:
            return pcm
        self._bank.restore(before, active)
        return torch.where(active[:, None], pcm, 0)


class MimiEncoderStream:
    """Encodes ``batch_size`` streams of sound to codes, one frame per ``frame_samples`` samples.

    Samples that don't fill a frame wait for the next ``step``, or for ``flush``. Where rows come
    and go one by one (``active``, ``reset`` of some rows), feed whole frames. ``native_rvq``
    searches the codebooks with our own kernel, exactly (``workbench.native``).
    """

    @torch.inference_mode(False)
    def __init__(
        self,
        codec: MimiModel,
        batch_size: int = 1,
        num_quantizers: int | None = None,
        max_step_frames: int = 8,
        native_rvq: bool = False,
    ) -> None:
        check_sizes(codec, batch_size, max_step_frames)
        downsample, transformer, seanet = _encoder_parts(codec)
        self.batch_size = batch_size
        self.max_step_frames = max_step_frames
        self.device, self.dtype = codec.device, codec.dtype
        self.codebooks = Codebooks(codec.quantizer, native=native_rvq)
        self.num_quantizers = self.codebooks.count if num_quantizers is None else num_quantizers
        if not self.codebooks.semantic <= self.num_quantizers <= self.codebooks.count:
            raise InputError(
                f"{num_quantizers} codebooks",
                f"ask for {self.codebooks.semantic} to {self.codebooks.count}",
            )
        self._bank = StateBank(batch_size)
        self._layers = streaming_layers(seanet.layers, self._bank)
        self._downsample = StreamingConv(downsample, self._bank)
        self._transformer = WindowedTransformer(
            transformer,
            batch_size,
            max_step_frames * self._downsample.stride,
            self.device,
            self.dtype,
        )
        self._bank.allocate(self.device, self.dtype)
        self.frame_samples = self._downsample.stride * prod(codec.config.upsampling_ratios)
        self._waiting = torch.zeros(batch_size, 0, device=self.device, dtype=self.dtype)

    @property
    def waiting_samples(self) -> int:
        """Samples of each row that don't fill a frame yet."""
        return self._waiting.shape[1]

    def step(self, pcm: Tensor, active: Tensor | None = None) -> Tensor:
        """Codes ``[B, K, F]`` (F >= 0) of the frames that ``pcm`` ``[B, N]``, N >= 0, completes."""
        self._check(pcm, active)
        pcm = torch.cat((self._waiting, pcm), dim=1) if self.waiting_samples else pcm
        whole = pcm.shape[1] // self.frame_samples * self.frame_samples
        self._waiting = pcm[:, whole:].clone()
        pieces = [
            self._advance(piece, active)
            for piece in pcm[:, :whole].split(self.max_step_frames * self.frame_samples, 1)
            if piece.shape[1]
        ]
        return torch.cat(pieces, dim=-1) if pieces else self._no_codes()

    def flush(self) -> Tensor:
        """Codes ``[B, K, 0 or 1]`` of the samples that wait, padded as offline.

        The stream ends there: all rows start anew.
        """
        codes = (
            self._advance(self._waiting, final=True) if self.waiting_samples else self._no_codes()
        )
        self.reset()
        return codes

    @torch.no_grad()
    def reset(self, rows: Rows = None) -> None:
        """Starts rows anew: all, a mask ``[B]`` (bool) or indices; some only between frames."""
        if rows is None:
            self._waiting = self._waiting[:, :0]
        elif self.waiting_samples:
            raise InputError(
                f"a reset of some rows while {self.waiting_samples} samples wait for their frame",
                f"feed whole frames of {self.frame_samples} samples, or reset all rows",
            )
        mask = row_mask(rows, self.batch_size, self.device)
        self._bank.reset(mask)
        self._transformer.reset(mask)

    @torch.no_grad()
    def _advance(self, pcm: Tensor, active: Tensor | None = None, final: bool = False) -> Tensor:
        before = None if active is None else self._bank.flat.clone()
        x = pcm[:, None]
        with right_convolutions(self):
            for layer in self._layers:
                x = layer(x, final=True) if final and isinstance(layer, StreamingConv) else layer(x)
            x = self._transformer(x.transpose(1, 2), active).transpose(1, 2)
            x = self._downsample(x, final)
        if active is not None and before is not None:
            self._bank.restore(before, active)
        return self.codebooks.encode(x.transpose(1, 2), self.num_quantizers)

    def _no_codes(self) -> Tensor:
        shape = (self.batch_size, self.num_quantizers, 0)
        return torch.zeros(shape, dtype=torch.int64, device=self.device)

    def _check(self, pcm: Tensor, active: Tensor | None) -> None:
        if pcm.ndim != 2 or pcm.shape[0] != self.batch_size or pcm.dtype != self.dtype:
            raise InputError(
                f"sound of shape {list(pcm.shape)} and type {pcm.dtype}",
                f"pass samples [{self.batch_size}, N] of type {self.dtype}",
            )
        check_device(pcm, self.device)
        check_active(active, self.batch_size)
        if active is not None and (self.waiting_samples or pcm.shape[1] % self.frame_samples):
            raise InputError(
                "a partial frame while only some rows are active",
                f"feed whole frames of {self.frame_samples} samples",
            )


@torch.no_grad()
def offline_latents(codec: Any, sound: Tensor) -> Tensor:
    """What ``codec.encode`` quantizes: ``[B, 1, N]`` samples → latents ``[B, C, T]``."""
    downsample, transformer, seanet = _encoder_parts(codec)
    with right_convolutions(codec):
        hidden = transformer(seanet(sound).transpose(1, 2), use_cache=False)[0]
        latents: Tensor = downsample(hidden.transpose(1, 2))
    return latents


def _encoder_parts(codec: Any) -> tuple[Any, Any, Any]:
    """Downsampling, transformer and SEANet of a codec, in either layout of transformers 5."""
    half = codec.encoder
    if hasattr(half, "encoder_seanet"):
        return half.downsample, half.encoder_transformer, half.encoder_seanet
    return codec.downsample, codec.encoder_transformer, half
