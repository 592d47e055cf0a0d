"""Codes to sound on the host, whole or with the codec's state carried on."""

from __future__ import annotations

import numpy as np
import torch

from workbench.engines.conditions import gradients_off
from workbench.engines.csm.decoders import Decoders
from workbench.engines.csm.transfer import Transfer
from workbench.models.mimi.decoder import DecoderStream
from workbench.optimizations.options import EngineOptions


class Sound:
    """One engine's codec decoder. ``decoders`` makes streams beside the one it keeps."""

    def __init__(self, decoders: Decoders, options: EngineOptions, transfer: Transfer) -> None:
        self.decoders = decoders
        self._options = options
        self._transfer = transfer
        self._stream: DecoderStream | None = None

    def fresh_stream(self) -> DecoderStream:
        """The decoder at its start: one and the same with the switch ``buffer_pool``."""
        if self._stream is None or not self._options.buffer_pool:
            self._stream = self.decoders.stream()
        self._stream.reset()
        return self._stream

    def next_frame(self, stream: DecoderStream, codes: torch.Tensor) -> np.ndarray:
        """The frame ``codes`` ``[K]`` → ``[frame_samples]`` float32, after what went before."""
        with gradients_off(self._options):
            return self._heard(stream.frame(codes[None])[0])

    def whole(self, codes: torch.Tensor) -> np.ndarray:
        """Offline decode of ``[K, T]`` → ``[T * frame_samples]`` float32."""
        if codes.shape[1] == 0:
            return np.zeros(0, dtype=np.float32)
        with gradients_off(self._options):
            if self.decoders.native:
                return self._heard(self.fresh_stream().step(codes[None])[0])
            return self._heard(self.decoders.codec.decode(codes[None]).audio_values[0, 0])

    def _heard(self, samples: torch.Tensor) -> np.ndarray:
        """PCM on the host, float32."""
        return self._transfer.to_host(samples.float()).numpy()
