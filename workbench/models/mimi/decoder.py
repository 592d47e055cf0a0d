"""Streams of Mimi's decoder: what they promise, whatever computes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from workbench.errors import InputError
from workbench.models.mimi.rows import Rows, check_active, check_device

if TYPE_CHECKING:
    from transformers import MimiModel


class DecoderStream(ABC):
    """Decodes ``batch_size`` streams of codes to sound, each at its own position.

    ``step`` takes any number of frames and checks its input; ``frame`` is the bare one-frame step
    on tensors. Chunks longer than ``max_step_frames`` run in pieces of that length. A stream is
    made for the codec as it is: make a new one when its weights change, or move to another device.
    """

    batch_size: int
    max_step_frames: int
    device: torch.device
    num_quantizers: int
    entries: int  # of a codebook
    frame_samples: int

    def step(self, codes: Tensor, active: Tensor | None = None, check: bool = True) -> Tensor:
        """Sound ``[B, T * frame_samples]`` of the next codes ``[B, K, T]``, T >= 1.

        K may be less than the codec's codebooks. Rows where ``active`` ``[B]`` is false keep their
        state and give silence. ``check=False`` skips the check of the codes' range, which waits
        for the device.
        """
        self._check(codes, active, check)
        pieces = [self._advance(piece, active) for piece in codes.split(self.max_step_frames, -1)]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=-1)

    def frame(self, codes: Tensor, active: Tensor | None = None) -> Tensor:
        """Sound ``[B, frame_samples]`` of one frame of codes ``[B, K]`` on the codec's device.

        Unchecked; tensors in, tensors out, nothing is read on the host.
        """
        return self._advance(codes[:, :, None], active)

    @abstractmethod
    def state(self) -> list[Tensor]:
        """The tensors that a frame reads and changes in place."""

    @abstractmethod
    def reset(self, rows: Rows = None) -> None:
        """Starts rows anew: all, a mask ``[B]`` (bool) or indices."""

    @abstractmethod
    def _advance(self, codes: Tensor, active: Tensor | None) -> Tensor:
        """``step`` for at most ``max_step_frames`` frames, unchecked."""

    def _check(self, codes: Tensor, active: Tensor | None, check: bool) -> None:
        if codes.dtype != torch.int64 or codes.ndim != 3:
            raise InputError(
                f"codes of shape {list(codes.shape)} and type {codes.dtype}",
                "pass codes [B, K, T] of type int64",
            )
        check_device(codes, self.device)
        batch, count, length = codes.shape
        if batch != self.batch_size:
            raise InputError(
                f"codes of {batch} rows for a stream of {self.batch_size}",
                "pass one row per stream, and `active` where some have nothing to decode",
            )
        if not 1 <= count <= self.num_quantizers or length < 1:
            raise InputError(
                f"codes of {count} codebooks and {length} frames",
                f"pass 1 to {self.num_quantizers} codebooks and at least one frame",
            )
        check_active(active, self.batch_size)
        if check and not 0 <= int(codes.min()) <= int(codes.max()) < self.entries:
            raise InputError(
                f"codes from {int(codes.min())} to {int(codes.max())}",
                f"pass codes from 0 to {self.entries - 1}; "
                "special codes (end of audio, padding) can't be decoded",
            )


def decoder_parts(codec: Any) -> tuple[Any, Any, Any]:
    """Upsampling, transformer and SEANet of a codec, in either layout of transformers 5."""
    half = codec.decoder
    if hasattr(half, "decoder_seanet"):
        return half.upsample, half.decoder_transformer, half.decoder_seanet
    return codec.upsample, codec.decoder_transformer, half


def check_sizes(codec: MimiModel, batch_size: int, max_step_frames: int) -> None:
    """Raises InputError for numbers and codecs that no stream can have."""
    if batch_size < 1 or max_step_frames < 1:
        raise InputError(
            f"{batch_size} streams with chunks of up to {max_step_frames} frames",
            "both must be at least 1",
        )
    if codec.config.audio_channels != 1:
        raise InputError(
            f"a codec of {codec.config.audio_channels} channels",
            "streams are mono: use a mono codec",
        )
