"""What residual vector quantization does to real speech: what is left, and what bits buy.

The first half of notebook 40's measurement; ``workbench.studies.rvq.speed`` is the second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.measure.findings import rounded
from workbench.models.mimi.streaming import offline_latents
from workbench.native.mimi import encode_latents
from workbench.quality.multi_scale import multi_scale_distance


@dataclass(frozen=True)
class Residuals:
    """What the acoustic codebooks leave of each frame: ``left[k]`` ``[T, D]`` after k of them."""

    left: tuple[np.ndarray, ...]

    @property
    def codebooks(self) -> int:
        """How many there are."""
        return len(self.left) - 1

    @property
    def energy_shares(self) -> list[float]:
        """The share of the vectors' energy that is left after 0, 1, … codebooks."""
        energies = [float(np.square(one).sum()) for one in self.left]
        return [energy / energies[0] for energy in energies]

    @property
    def planes(self) -> list[np.ndarray]:
        """``[T, 2]`` after each codebook: in the plane in which the vectors vary most.

        Its two directions are the first principal components of the vectors before any codebook.
        """
        _, _, directions = np.linalg.svd(self.left[0] - self.left[0].mean(0), full_matrices=False)
        return [one @ directions[:2].T for one in self.left]

    @property
    def finding(self) -> str:
        """What the first codebook leaves, and what all do."""
        shares = self.energy_shares
        return (
            f"One acoustic codebook leaves {100 * shares[1]:.2g} % of the energy, "
            f"{self.codebooks} leave {100 * shares[-1]:.2g} %"
        )


@dataclass(frozen=True)
class Bitrate:
    """The sound of the first ``codebooks``, and how far it is from that which was encoded."""

    codebooks: int
    kbits_per_s: float
    distance: float
    clip: Audio


@dataclass(frozen=True)
class QuantizedSpeech:
    """A clip through the quantizer: its residuals, and its sound at every bitrate."""

    clip: Audio
    residuals: Residuals
    bitrates: tuple[Bitrate, ...]
    frames: int
    entries: int

    @property
    def curve(self) -> dict[float, float]:
        """Distance by kbit/s."""
        return {one.kbits_per_s: one.distance for one in self.bitrates}

    @property
    def finding(self) -> str:
        """What the range of bitrates does to the distance."""
        first, last = self.bitrates[0], self.bitrates[-1]
        return (
            f"From {first.kbits_per_s:.2g} to {last.kbits_per_s:.2g} kbit/s the spectral distance "
            f"falls from {rounded(first.distance)} to {rounded(last.distance)}"
        )

    @property
    def clips(self) -> dict[str, Audio]:
        """The clip, and what one codebook, half of them and all make of it."""
        chosen = {1, (len(self.bitrates) + 1) // 2, len(self.bitrates)}
        made = {
            f"{one.codebooks} codebook{'s' * (one.codebooks != 1)}: {one.kbits_per_s:.2g} kbit/s":
            one.clip for one in self.bitrates if one.codebooks in chosen
        }  # fmt: skip
        return {"what was encoded": self.clip, **made}


@torch.no_grad()
def quantized_speech(codec: Any, clip: Audio) -> QuantizedSpeech:
    """Encodes ``clip`` with ``codec`` (a ``MimiModel``) and looks at what each codebook does.

    Bits are those of the codes as they are, ``log2`` of a codebook's entries each. Raises
    InputError for a clip shorter than two frames.
    """
    rate_hz = int(codec.config.sampling_rate)
    clip = Audio(clip.samples, clip.rate_hz).resampled(rate_hz)
    if clip.duration_s * codec.config.frame_rate < 2:
        raise InputError(f"a clip of {clip.duration_s:.2f} s", "pass at least two frames (0.16 s)")
    device, dtype = codec.device, codec.dtype
    sound = torch.from_numpy(np.ascontiguousarray(clip.samples)).to(device, dtype)[None, None]
    latents = offline_latents(codec, sound)
    codes = encode_latents(codec, latents)
    bits = math.log2(codec.config.codebook_size) * codec.config.frame_rate
    bitrates = []
    for count in range(1, codes.shape[1] + 1):
        made = codec.decode(codes[:, :count]).audio_values[0, 0].float().cpu().numpy()
        heard = Audio(made[: len(clip)], rate_hz)
        distance = multi_scale_distance(clip, heard).total
        bitrates.append(Bitrate(count, count * bits / 1000, distance, heard))
    return QuantizedSpeech(
        clip=clip,
        residuals=_residuals(codec, latents, codes),
        bitrates=tuple(bitrates),
        frames=codes.shape[2],
        entries=int(codec.config.codebook_size),
    )


def _residuals(codec: Any, latents: torch.Tensor, codes: torch.Tensor) -> Residuals:
    """Of the acoustic part, which starts from its own projection of the latents."""
    quantizer = codec.quantizer
    part = quantizer.acoustic_residual_vector_quantizer
    projected = latents if part.input_proj is None else part.input_proj(latents)
    left = [projected[0].T.float()]
    first = len(quantizer.semantic_residual_vector_quantizer.layers)
    for layer, chosen in zip(part.layers, codes[0, first:], strict=False):
        left.append(left[-1] - layer.codebook.embed.float()[chosen])
    return Residuals(tuple(one.cpu().numpy() for one in left))
