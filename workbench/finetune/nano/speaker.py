"""speaker-nano: an x-vector whose last layer is fitted, its speech and its features.

The network is transformers' ``Wav2Vec2BertForXVector`` without transformer layers: each frame of
mel features is normalized (which takes its level out), spread over rectified directions, and
pooled into means and standard deviations over time, as in the x-vector of Snyder et al. (ICASSP
2018). What an x-vector learns by gradient is here the projection of Fisher's linear discriminant
analysis (1936) on these statistics: speakers apart, and what noise, the codec, tempo and words do
to a speaker suppressed. It takes seconds, and small data don't overfit it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from workbench.audio import Audio
from workbench.files import atomic_path
from workbench.finetune.nano.evaluate import codec_round_trip
from workbench.finetune.nano.speakers import WORDS_PER_MINUTE, Speaker, texts

RATE_HZ = 16_000
FEATURES = "speaker-features.npz"
CODED_SHARE = 0.25  # of the clips pass through mimi-nano: its clones are to be judged
NOISE_SHARE, NOISE_DB = 0.5, (15.0, 40.0)
BANDS = 160  # 80 mel bands of two frames
MIXED = 160  # random directions beside each band's rise and fall
DIMENSIONS = 64
SHRINKAGE = 0.1  # of the covariance within speakers towards its mean variance


def build_speaker(dimensions: int = DIMENSIONS, seed: int = 0) -> Any:
    """The network with all layers but the last in place, which is at random."""
    from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForXVector

    width = 2 * BANDS + MIXED
    torch.manual_seed(seed)
    model = Wav2Vec2BertForXVector(
        Wav2Vec2BertConfig(
            hidden_size=BANDS,
            feature_projection_input_dim=BANDS,
            num_hidden_layers=0,
            num_attention_heads=4,
            intermediate_size=BANDS,
            position_embeddings_type=None,
            apply_spec_augment=False,
            layerdrop=0.0,
            tdnn_dim=[width],
            tdnn_kernel=[1],
            tdnn_dilation=[1],
            xvector_output_dim=dimensions,
        )
    )
    same, mixed = torch.eye(BANDS), torch.randn(MIXED, BANDS) / BANDS**0.5
    with torch.no_grad():
        _set(model.wav2vec2_bert.feature_projection.projection, same)
        _set(model.projector, torch.cat([same, -same, mixed]))
        _set(model.tdnn[0].kernel, torch.eye(width))  # and its rectifier
        _set(model.classifier, torch.eye(dimensions))
    return model.eval()


def fit_speaker(features: list[np.ndarray], speakers: np.ndarray, part: int = 50) -> Any:
    """The network, its last layer fitted to ``features`` ``[positions, 160]`` of each clip.

    ``speakers`` ``[N]`` are their speakers' numbers; clips are cut into parts of ``part`` positions
    (20 ms each), so that short clips are known as well.
    """
    model = build_speaker()
    pooled, owners = [], []
    for clip, owner in zip(features, speakers, strict=True):
        for piece in np.array_split(clip, max(1, len(clip) // part)):
            pooled.append(statistics_of(model, piece.astype(np.float32)))
            owners.append(owner)
    mean, projection = discriminants(np.stack(pooled), np.asarray(owners), DIMENSIONS)
    with torch.no_grad():
        weights = torch.from_numpy(projection.T.astype(np.float32))
        _set(model.feature_extractor, weights, -weights @ torch.from_numpy(mean).float())
    return model


@torch.no_grad()
def statistics_of(model: Any, features: np.ndarray) -> np.ndarray:
    """What the network pools of ``features`` ``[positions, 160]``: ``[2 W]``."""
    caught: list[torch.Tensor] = []
    hook = model.feature_extractor.register_forward_pre_hook(
        lambda _, inputs: caught.append(inputs[0])
    )
    try:
        model(torch.from_numpy(features)[None])
    finally:
        hook.remove()
    return caught[0][0].numpy()


def discriminants(
    vectors: np.ndarray, owners: np.ndarray, dimensions: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean ``[D]`` and directions ``[D, d]`` that tell owners of ``vectors`` ``[N, D]`` best apart.

    Linear discriminant analysis: after the projection the covariance within owners is the
    identity, so that cosines compare in its scale.
    """
    from scipy.linalg import eigh

    mean = vectors.mean(axis=0)
    names, numbers = np.unique(owners, return_inverse=True)
    centres = np.stack([vectors[numbers == n].mean(axis=0) for n in range(len(names))])
    inner = vectors - centres[numbers]
    within = inner.T @ inner / max(len(vectors) - len(names), 1)
    size = len(within)
    within = (1 - SHRINKAGE) * within + SHRINKAGE * np.trace(within) / size * np.eye(size)
    outer = centres - mean
    between = outer.T @ outer / len(names)
    _, directions = eigh(between, within, subset_by_index=(size - dimensions, size - 1))
    return mean, directions[:, ::-1]


def feature_extractor() -> Any:
    """80 mel bands at 100 frames a second, two frames in one, at their own level."""
    from transformers import SeamlessM4TFeatureExtractor

    return SeamlessM4TFeatureExtractor(do_normalize_per_mel_bins=False)


def features_of(extractor: Any, audio: Audio) -> np.ndarray:
    """Features ``[positions, 160]`` float16 of a clip."""
    samples = audio.resampled(RATE_HZ).samples
    found = extractor(
        samples,
        sampling_rate=RATE_HZ,
        return_tensors="np",
        do_normalize_per_mel_bins=extractor.do_normalize_per_mel_bins,
    )
    return np.asarray(found["input_features"][0], np.float16)


def make_features(
    path: Path, speakers: list[Speaker], clips: int, codec: Any, seed: int = 1
) -> None:
    """Writes the features of ``clips`` sentences by each speaker, some coded, some with noise."""
    source = np.random.default_rng(seed)
    said = texts(clips * len(speakers), held_out=False)
    extractor = feature_extractor()
    found, owners = [], []
    for number, text in enumerate(tqdm(said, desc="speech", unit="clip")):
        owner = number % len(speakers)
        clip = speakers[owner].say(text, int(source.integers(*WORDS_PER_MINUTE)))
        found.append(features_of(extractor, disturbed(clip, source, codec)))
        owners.append(owner)
    with atomic_path(path) as temporary:
        np.savez(
            temporary,
            features=np.concatenate(found),
            lengths=[len(one) for one in found],
            owners=owners,
        )


def disturbed(clip: Audio, source: np.random.Generator, codec: Any) -> Audio:
    """``clip`` as a microphone or a codec gives it: noise, another tone, mimi-nano's codes."""
    samples = clip.samples
    if codec is not None and source.random() < CODED_SHARE:
        samples = codec_round_trip(codec, samples)
    samples = samples + np.float32(source.uniform(-0.4, 0.4)) * np.roll(samples, 1)  # a tilt
    if source.random() < NOISE_SHARE:
        level = float(np.sqrt(np.mean(np.square(samples)))) * 10 ** (
            -source.uniform(*NOISE_DB) / 20
        )
        samples = samples + level * source.standard_normal(len(samples), np.float32)
    return Audio(samples, clip.rate_hz)


def _set(layer: Any, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
    layer.weight.copy_(weight)
    layer.bias.copy_(torch.zeros(len(weight)) if bias is None else bias)
