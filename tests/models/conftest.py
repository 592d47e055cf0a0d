"""Mimi codecs with random weights whose every part matters to the sound."""

import pytest
import torch
from transformers import MimiConfig, MimiModel

TINY = {  # odd ratios and widths, grouped-query attention, dilations: 12 samples a frame
    "num_filters": 4,
    "hidden_size": 16,
    "kernel_size": 5,
    "residual_kernel_size": 3,
    "num_residual_layers": 2,
    "upsampling_ratios": [3, 2],
    "upsample_groups": 4,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "intermediate_size": 24,
    "sliding_window": 7,
    "max_position_embeddings": 16,
    "num_quantizers": 5,
    "num_semantic_quantizers": 2,
    "codebook_size": 32,
    "codebook_dim": 6,
    "vector_quantization_hidden_dimension": 6,
}
NANO = {  # the architecture of mimi-nano: 1920 samples a frame
    "num_filters": 16,
    "hidden_size": 192,
    "upsample_groups": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "intermediate_size": 768,
    "num_quantizers": 8,
    "codebook_size": 512,
    "codebook_dim": 64,
    "vector_quantization_hidden_dimension": 64,
}


LEVEL = 0.3  # standard deviation of the sound: peaks of about 1, as loud speech has


@torch.no_grad()
def random_codec(settings, seed=0, dtype=torch.float32, **changes):
    """A codec whose latents have a standard deviation of 1, its sound LEVEL.

    transformers starts with codebooks of zero and layers scaled by 0.01: every code would sound
    alike, and attention would hardly be heard.
    """
    torch.manual_seed(seed)
    codec = MimiModel(MimiConfig(**{**settings, **changes})).eval()
    for name, parameter in codec.named_parameters():
        if "layer_scale" in name:
            parameter.uniform_(0.3, 0.6)
        elif name.endswith("bias") or "layernorm" in name:
            parameter.add_(0.1 * torch.randn_like(parameter))
    quantizer = codec.quantizer
    for part in (
        quantizer.semantic_residual_vector_quantizer,
        quantizer.acoustic_residual_vector_quantizer,
    ):
        for index, layer in enumerate(part.layers):
            book = layer.codebook
            book.cluster_usage.uniform_(0.5, 2)
            book.cluster_usage[0] = 0  # never used: its sum is divided by epsilon
            book.embed_sum.normal_().mul_(0.6**index * book.cluster_usage[:, None])
    codes = torch.randint(settings["codebook_size"], (2, settings["num_quantizers"], 40))
    last = codec.decoder.decoder_seanet.layers[-1].conv
    level = codec.decode(codes).audio_values.std()
    for parameter in (last.weight, last.bias):
        parameter.mul_(LEVEL / level)
    sound = torch.randn(2, 1, 40 * codec.config.frame_size)
    codec.encoder.downsample.conv.weight.div_(codec.encoder(sound).latents.std())
    for module in quantizer.modules():
        if hasattr(module, "_embed"):
            module._embed = None  # transformers keeps its table through changes of type and device
    return codec.to(dtype)


def random_codes(codec, batch, frames, codebooks=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, codebooks or codec.config.num_quantizers, frames)
    return torch.randint(codec.config.codebook_size, shape, generator=generator)


@pytest.fixture(scope="session")
def tiny_codec():
    return random_codec(TINY)


@pytest.fixture(scope="session")
def nano_codec():
    return random_codec(NANO)
