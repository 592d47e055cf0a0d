"""mimi-nano: a small Mimi, its two latents' quantizers in training form, and its losses.

Mimi is described in Défossez et al., "Moshi: a speech-text foundation model for real-time
dialogue" (2024); the network itself is transformers' ``MimiModel``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.finetune.nano.speech import PHONES

RATE_HZ = 24_000
FRAME_SAMPLES = 1920  # 80 ms, 12.5 Hz
PHONES_PER_FRAME = 4  # labels every 20 ms
DEAD_CODE = 0  # never used by any codebook: the all-zero frame means end of audio
DEAD_DISTANCE = 60.0  # how far the dead entry lies from the origin; latents stay below 20
EMA_DECAY = 0.995
MEL_SCALES = ((2048, 80), (1024, 64), (512, 48), (256, 24))  # (window in samples, bands)
LOG_FLOOR = 2e-3
DRIFT_WEIGHT = 5.0
HALF_ERROR = 0.1  # relative, of latents in bfloat16; more is a kernel that goes wrong


def codec_config(**changes: Any) -> Any:
    """transformers' ``MimiConfig`` of mimi-nano, with ``changes`` for tests."""
    from transformers import MimiConfig

    values: dict[str, Any] = {
        "sampling_rate": RATE_HZ,
        "num_filters": 16,
        "hidden_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "head_dim": 48,
        "intermediate_size": 768,
        "upsampling_ratios": [8, 6, 5, 4],
        "num_residual_layers": 1,
        "num_quantizers": 6,
        "num_semantic_quantizers": 1,
        "codebook_size": 512,
        "codebook_dim": 64,
        "vector_quantization_hidden_dimension": 64,
        "upsample_groups": 192,
        "sliding_window": 250,
        "layer_scale_initial_scale": 0.3,
        "use_cache": False,
    }
    return MimiConfig(**(values | changes))


def encode_latents(model: Any, audio: Tensor) -> Tensor:
    """Latents ``[B, hidden, T]`` at 12.5 Hz of ``audio`` ``[B, 1, T * 1920]``, with gradients."""
    if hasattr(model.encoder, "encoder_seanet"):  # transformers >= 5.20
        return model.encoder(audio).latents
    hidden = model.encoder(audio).transpose(1, 2)
    hidden = model.encoder_transformer(hidden)[0].transpose(1, 2)
    return model.downsample(hidden)


@torch.no_grad()
def half_is_sound(model: Any, audio: Tensor) -> bool:
    """Whether bfloat16 gives about the latents of float32 for ``audio`` ``[B, 1, T]``.

    Not to be taken for granted: on an Intel Xeon with AMX, one convolution of the encoder (16 to 32
    channels, kernel 8, stride 4) comes out wrong in PyTorch 2.13 at some lengths, so that 15 % of
    the first codes are the same, and training on such latents diverged.
    """
    exact = encode_latents(model, audio)
    with torch.autocast(audio.device.type, dtype=torch.bfloat16):
        rough = encode_latents(model, audio)
    return bool((rough.float() - exact).norm() <= HALF_ERROR * exact.norm())


def decode_latents(model: Any, latents: Tensor) -> Tensor:
    """Audio ``[B, 1, T * 1920]`` of latents ``[B, hidden, T]``, with gradients."""
    if hasattr(model.decoder, "decoder_seanet"):  # transformers >= 5.20
        return model.decoder(latents).audio_values
    hidden = model.upsample(latents).transpose(1, 2)
    hidden = model.decoder_transformer(hidden)[0].transpose(1, 2)
    return model.decoder(hidden)


def decoder_parameters(model: Any) -> list[nn.Parameter]:
    """Parameters of everything after the codes."""
    return [
        parameter
        for name, parameter in model.named_parameters()
        if name.startswith(("decoder", "upsample")) or "output_proj" in name
    ]


@torch.no_grad()
def initialize(model: Any, audio: Tensor) -> None:
    """Rescales every convolution so that its output on ``audio`` ``[B, 1, T]`` has deviation 1.

    transformers' initialization makes the decoder's output hundreds of times too large to
    train; the layer-sequential rule is that of Mishkin and Matas, "All you need is a good
    init" (2015).
    """

    def rescale(module: Any, _: Any, output: Tensor) -> Tensor:
        target = 0.1 if output.shape[1] == 1 else 1.0
        scale = target / output.std().clamp(min=1e-5)
        module.weight.mul_(scale)
        if module.bias is not None:
            module.bias.zero_()
        return output * scale

    for module in model.modules():
        if isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)) and module.bias is not None:
            module.bias.zero_()
    hooks = [
        module.register_forward_hook(rescale)
        for module in model.modules()
        if isinstance(module, (nn.Conv1d, nn.ConvTranspose1d))
    ]
    latents = encode_latents(model, audio)
    semantic, acoustic = split_quantizers(model)
    parts = [part.output_proj(part.input_proj(latents)) for part in (semantic, acoustic)]
    decode_latents(model, parts[0] + parts[1])
    for hook in hooks:
        hook.remove()


def split_quantizers(model: Any) -> tuple[Any, Any]:
    """The semantic and the acoustic residual quantizer of a ``MimiModel``."""
    quantizer = model.quantizer
    return (
        quantizer.semantic_residual_vector_quantizer,
        quantizer.acoustic_residual_vector_quantizer,
    )


class PhoneHead(nn.Module):
    """Phones of a frame's four 20 ms parts, from the first code's embedding alone."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(hidden_size, 256),
            nn.GELU(),
            nn.Linear(256, PHONES_PER_FRAME * len(PHONES)),
        )

    def forward(self, embedding: Tensor) -> Tensor:
        """Logits ``[B, T, 4, phones]`` of the semantic embedding ``[B, hidden, T]``."""
        return self.layers(embedding.transpose(1, 2)).unflatten(-1, (PHONES_PER_FRAME, -1))


def quantize(part: Any, latents: Tensor, learn: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Straight-through residual quantization of ``latents`` ``[B, hidden, T]``.

    Returns the embedding ``[B, hidden, T]``, the codes ``[B, K, T]`` and the commitment loss.
    With ``learn`` the codebooks follow their latents by exponential moving averages (van den
    Oord et al., "Neural discrete representation learning", 2017).
    """
    projected = part.input_proj(latents).float().transpose(1, 2)
    residual = projected
    total = torch.zeros_like(projected)
    codes, commitment = [], projected.new_zeros(())
    for layer in part.layers:
        codebook = layer.codebook
        flat = residual.reshape(-1, residual.shape[-1])
        entries = codebook.embed_sum / codebook.cluster_usage[:, None]
        with torch.no_grad():
            code = nearest(flat, entries)
        chosen = entries[code].view_as(residual)
        commitment = commitment + F.mse_loss(residual, chosen.detach())
        if learn:
            follow(codebook, flat.detach(), code)
        total = total + chosen
        residual = residual - chosen.detach()
        codes.append(code.view(residual.shape[:-1]))
    straight = projected + (total - projected).detach()
    embedding = part.output_proj(straight.transpose(1, 2))
    return embedding, torch.stack(codes, dim=1), commitment / len(codes)


def nearest(vectors: Tensor, entries: Tensor) -> Tensor:
    """Index ``[N]`` of the entry ``[K, D]`` nearest to each of ``vectors`` ``[N, D]``."""
    distances = entries.square().sum(1) - 2 * vectors @ entries.T
    distances[:, DEAD_CODE] = float("inf")
    return distances.argmin(dim=1)


@torch.no_grad()
def follow(codebook: Any, vectors: Tensor, codes: Tensor) -> None:
    """One moving-average step of a codebook towards ``vectors`` ``[N, D]`` with ``codes`` ``[N]``.

    Entries that are hardly used any more move onto vectors of this batch.
    """
    hits = torch.bincount(codes, minlength=len(codebook.cluster_usage)).float()
    sums = torch.zeros_like(codebook.embed_sum).index_add_(0, codes, vectors)
    codebook.cluster_usage.mul_(EMA_DECAY).add_(hits, alpha=1 - EMA_DECAY)
    codebook.embed_sum.mul_(EMA_DECAY).add_(sums, alpha=1 - EMA_DECAY)
    unused = codebook.cluster_usage < 0.02 * len(vectors) / len(hits)
    unused[DEAD_CODE] = False
    count = int(unused.sum())
    if count:
        picked = vectors[torch.randint(len(vectors), (count,), device=vectors.device)]
        fresh = 0.2 * len(vectors) / len(hits)
        codebook.cluster_usage[unused] = fresh
        codebook.embed_sum[unused] = picked * fresh
    bury_dead_code(codebook)


@torch.no_grad()
def bury_dead_code(codebook: Any) -> None:
    """Moves entry 0 far away from all latents, so that no encoder ever chooses it."""
    dimension = codebook.embed_sum.shape[1]
    codebook.cluster_usage[DEAD_CODE] = 1.0
    codebook.embed_sum[DEAD_CODE] = DEAD_DISTANCE / dimension**0.5
    codebook._embed = None


@torch.no_grad()
def seed_codebooks(part: Any, latents: Tensor, rounds: int = 12) -> None:
    """Sets the residual codebooks by k-means on ``latents`` ``[N, hidden]``."""
    residual = F.linear(latents, part.input_proj.weight[:, :, 0])
    for layer in part.layers:
        codebook = layer.codebook
        size = len(codebook.cluster_usage)
        entries = residual[torch.randperm(len(residual))[:size]].clone()
        while len(entries) < size:  # tiny test data: repeat with a little noise
            entries = torch.cat([entries, entries + 1e-3 * torch.randn_like(entries)])[:size]
        for _ in range(rounds):
            codes = nearest(residual, entries)
            hits = torch.bincount(codes, minlength=size).float()
            sums = torch.zeros_like(entries).index_add_(0, codes, residual)
            alive = hits > 0
            entries[alive] = sums[alive] / hits[alive, None]
            lost = residual[torch.randint(len(residual), (int((~alive).sum()),))]
            entries[~alive] = lost
        codes = nearest(residual, entries)
        residual = residual - entries[codes]
        hits = torch.bincount(codes, minlength=size).float().clamp(min=0.1)
        share = hits / hits.sum() * 80  # as after many steps of about 80 frames
        codebook.cluster_usage.copy_(share.clamp(min=1e-3))
        codebook.embed_sum.copy_(entries * codebook.cluster_usage[:, None])
        bury_dead_code(codebook)


@cache
def mel_filters(window: int, bands: int) -> Tensor:
    """Triangular mel filters ``[bands, window // 2 + 1]``, 40 Hz to 12 kHz."""
    low, high = (2595 * torch.log10(torch.tensor(1 + hz / 700)) for hz in (40.0, RATE_HZ / 2))
    edges = 700 * (10 ** (torch.linspace(float(low), float(high), bands + 2) / 2595) - 1)
    bins = torch.linspace(0, RATE_HZ / 2, window // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    filters = torch.minimum(rising, falling).clamp(min=0)
    return filters / filters.sum(1, keepdim=True).clamp(min=1e-3)


def log_mel(audio: Tensor, window: int, bands: int) -> Tensor:
    """Log10 mel magnitudes ``[B, bands, frames]`` of ``audio`` ``[B, T]``, hop a quarter window."""
    hann = torch.hann_window(window, device=audio.device)
    spectrum = torch.stft(audio, window, window // 4, window=hann, center=True, return_complex=True)
    magnitude = spectrum.abs() / window**0.5
    return torch.log10(mel_filters(window, bands).to(audio.device) @ magnitude + LOG_FLOOR)


def spectral_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference of log-mel spectra over four window lengths, ``[B, T]`` each.

    The mel bands begin at 40 Hz; what lies below is held by the means over 40 ms, else the
    decoder's output wanders far from zero, unheard.
    """
    losses = [
        F.l1_loss(log_mel(made, window, bands), log_mel(wanted, window, bands))
        for window, bands in MEL_SCALES
    ]
    drift = F.avg_pool1d((made - wanted)[:, None], 960, 240).abs().mean()
    return torch.stack(losses).mean() + DRIFT_WEIGHT * drift
