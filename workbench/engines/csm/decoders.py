"""Streams of the codec's decoder, by PyTorch or by our own kernels."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from workbench.models.mimi.decoder import DecoderStream
from workbench.models.mimi.native_decoder import NativeDecoderStream, native_decoder
from workbench.models.mimi.streaming import MimiDecoderStream
from workbench.native.codec import Decoder


class Decoders:
    """Makes decoder streams of one codec; native ones share weights, packed for the first."""

    def __init__(self, codec: Any, *, native: bool) -> None:
        self.native = native
        self.codec = codec

    def stream(self, batch_size: int = 1, max_step_frames: int = 8) -> DecoderStream:
        """A new stream. Raises ModelError where the native kernels can't have this codec."""
        if self.native:
            return NativeDecoderStream(self._weights, batch_size, max_step_frames)
        return MimiDecoderStream(self.codec, batch_size, max_step_frames)

    @cached_property
    def _weights(self) -> Decoder:
        return native_decoder(self.codec)
