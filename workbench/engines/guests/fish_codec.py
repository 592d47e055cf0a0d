"""Fish-Speech's codec: sound at 44.1 kHz to ten codes for 46 ms of it, and back.

A DAC (Kumar et al., arXiv 2306.06546) whose convolutions are causal, with transformers around its
quantizer: one semantic codebook of 4096 entries and nine residual ones of 1024.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from workbench.engines.guests.bare import bare_package
from workbench.engines.guests.catalogue import guest

RATE_HZ = 44_100
FRAME = 2_048  # samples for each column of codes
FRAME_HZ = RATE_HZ / FRAME
CODEBOOKS = 10
SEMANTIC_CODES = 4_096
RESIDUAL_CODES = 1_024


@dataclass(frozen=True)
class CodecSizes:
    """Widths and depths; ``encoder_positions`` and ``positions`` bound the length of a sound."""

    encoder: int
    decoder: int
    encoder_layers: int
    layers: int
    feed_forward: int
    encoder_positions: int  # 86 a second
    positions: int  # 21.5 a second


FULL = CodecSizes(64, 1_536, 4, 8, 3_072, 16_384, 4_096)  # modded_dac_vq.yaml of the package
SMALL = CodecSizes(4, 32, 1, 1, 64, 4_096, 1_024)


def packages() -> None:
    """Lets Fish-Speech's networks be imported without what its packages import at start."""
    for entry in guest("fish").bare:
        bare_package(entry)


def codec(sizes: CodecSizes) -> Any:
    """The codec with random weights, in float32 on the CPU."""
    packages()
    from fish_speech.models.dac.modded_dac import DAC, ModelArgs, WindowLimitedTransformer
    from fish_speech.models.dac.rvq import DownsampleResidualVectorQuantize

    width = sizes.encoder * 16  # doubled by each of the four encoder blocks

    def around() -> Any:
        config = ModelArgs(
            block_size=sizes.positions,
            n_layer=sizes.layers,
            n_head=width // 64,
            dim=width,
            intermediate_size=sizes.feed_forward,
        )
        return WindowLimitedTransformer(config, input_dim=width, window_size=128, causal=True)

    quantizer = DownsampleResidualVectorQuantize(
        input_dim=width,
        n_codebooks=CODEBOOKS - 1,
        codebook_size=RESIDUAL_CODES,
        codebook_dim=8,
        quantizer_dropout=0.5,
        downsample_factor=(2, 2),
        pre_module=around(),
        post_module=around(),
        semantic_codebook_size=SEMANTIC_CODES,
    )
    return DAC(
        encoder_dim=sizes.encoder,
        encoder_rates=[2, 4, 8, 8],
        decoder_dim=sizes.decoder,
        decoder_rates=[8, 8, 4, 2],
        quantizer=quantizer,
        sample_rate=RATE_HZ,
        encoder_transformer_layers=[0, 0, 0, sizes.encoder_layers],
        transformer_general_config=partial(ModelArgs, block_size=sizes.encoder_positions),
    ).eval()


def encoded(network: Any, samples: torch.Tensor) -> torch.Tensor:
    """Codes ``[10, F]`` of ``samples`` ``[T]`` at 44.1 kHz, F = T / 2048 rounded up."""
    lengths = torch.tensor([len(samples)], device=samples.device)
    codes: torch.Tensor = network.encode(samples[None, None], lengths)[0][0]
    return codes


def decoded(network: Any, codes: torch.Tensor) -> torch.Tensor:
    """Sound ``[2048 F]`` of ``codes`` ``[10, F]``."""
    lengths = torch.tensor([codes.shape[1]], device=codes.device)
    sound: torch.Tensor = network.decode(codes[None].long(), lengths)[0]
    return sound.flatten()
