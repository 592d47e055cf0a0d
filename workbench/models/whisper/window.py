"""Whisper's encoder on windows of any length, and recordings cut into windows at quiet places."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor, nn

RATE_HZ = 16_000
WINDOW_S = 30.0
POSITION_S = 0.02  # one encoder position: two frames of 10 ms
_QUIET_S = 0.1  # length of the piece whose level is compared
_SEARCH_S = 6.0  # before a window's end


def encode(model: Any, features: Tensor) -> Tensor:
    """The encoder on log-mel ``[B, M, F]``, any even ``F`` up to 3000: states ``[B, F / 2, d]``.

    transformers insists on 30 s. The positions are fixed sinusoids, so a shorter window is the
    same computation with fewer of them: less work, linearly in the projections and by the square
    in the attention. whisper.cpp calls it ``audio_ctx``. A model that has only seen full windows
    loses some accuracy on short ones.
    """
    encoder = model.model.encoder
    hidden = nn.functional.gelu(encoder.conv1(features))
    hidden = nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
    hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
    for layer in encoder.layers:
        hidden = layer(hidden, None)
    return encoder.layer_norm(hidden)


def window_frames(samples: int, margin_s: float, step_s: float = 0.5) -> int:
    """Mel frames (10 ms) of a window for ``samples`` at 16 kHz with ``margin_s`` of silence.

    Rounded up to multiples of ``step_s``, so that few shapes occur, and at most 30 s.
    """
    seconds = math.ceil((samples / RATE_HZ + margin_s) / step_s) * step_s
    return round(min(max(seconds, step_s), WINDOW_S) * 100)


def windows(samples: np.ndarray, longest_s: float = WINDOW_S) -> Iterator[tuple[float, np.ndarray]]:
    """Pieces of ``samples`` ``[T]`` (16 kHz) of at most ``longest_s`` and each one's start in s.

    A cut lies in the quietest 0.1 s of a window's last seconds.
    """
    start, longest = 0, round(longest_s * RATE_HZ)
    while len(samples) - start > longest:
        piece = samples[start : start + longest]
        stop = start + _quietest(piece)
        yield start / RATE_HZ, samples[start:stop]
        start = stop
    yield start / RATE_HZ, samples[start:]


def _quietest(piece: np.ndarray) -> int:
    """Where to cut ``piece``: the middle of the quietest part of its last seconds."""
    size = round(_QUIET_S * RATE_HZ)
    first = max(len(piece) - round(_SEARCH_S * RATE_HZ), len(piece) // 2)
    tail = piece[first : first + (len(piece) - first) // size * size]
    levels = np.square(tail.reshape(-1, size)).mean(1)
    return first + int(np.argmin(levels)) * size + size // 2
