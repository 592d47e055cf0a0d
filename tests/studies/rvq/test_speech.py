"""Quantized speech: residuals add up, bits are counted, more codebooks come nearer."""

import numpy as np
import pytest
import torch

import workbench
from workbench.audio import Audio
from workbench.errors import InputError
from workbench.models.mimi.streaming import offline_latents
from workbench.studies.rvq.speech import quantized_speech


@pytest.fixture(scope="module")
def codec():
    return workbench.load("csm-nano", device="cpu").codec


@pytest.fixture(scope="module")
def speech(codec):
    """A tone that glides, with noise: not silence, and not the same in any two frames."""
    time_s = np.arange(24_000) / 24_000
    noise = np.random.default_rng(0).standard_normal(len(time_s))
    tone = 0.2 * np.sin(2 * np.pi * (150 + 100 * time_s) * time_s) + 0.02 * noise
    return quantized_speech(codec, Audio(tone.astype(np.float32), 24_000))


def test_a_residual_is_what_was_there_without_the_entries_chosen(codec, speech):
    with torch.no_grad():
        latents = offline_latents(codec, torch.from_numpy(speech.clip.samples)[None, None])
        part = codec.quantizer.acoustic_residual_vector_quantizer
        codes = codec.encode(torch.from_numpy(speech.clip.samples)[None, None]).audio_codes[0, 1:]
        chosen = sum(
            layer.codebook.embed[code] for layer, code in zip(part.layers, codes, strict=True)
        )
        left = part.input_proj(latents)[0].T - chosen
    assert np.allclose(speech.residuals.left[-1], left.numpy(), atol=1e-4)


def test_codebooks_shrink_what_is_left(speech):
    shares = speech.residuals.energy_shares
    assert shares[0] == 1
    assert shares[-1] < 0.7 * shares[1] < shares[1] < 1
    assert [plane.shape for plane in speech.residuals.planes] == [(speech.frames, 2)] * len(shares)
    assert f"{100 * shares[1]:.2g} % of the energy" in speech.residuals.finding


def test_planes_keep_the_most_of_the_first_cloud(speech):
    first = speech.residuals.left[0]
    spread = np.square(first - first.mean(0)).sum()
    plane = speech.residuals.planes[0]
    kept = np.square(plane - plane.mean(0)).sum()
    axes = np.sort(np.square(first - first.mean(0)).sum(0))[-2:].sum()
    assert axes <= kept <= spread * (1 + 1e-5)


def test_bits_are_those_of_the_codes(codec, speech):
    each = np.log2(codec.config.codebook_size) * 12.5 / 1000
    rates = list(speech.curve)
    assert rates == pytest.approx([each * count for count in range(1, len(rates) + 1)])
    assert len(rates) == codec.config.num_quantizers
    assert speech.bitrates[-1].distance < speech.bitrates[0].distance
    assert next(iter(speech.clips)) == "what was encoded"
    assert len(speech.clips) == 4


def test_too_short_a_clip_is_refused(codec):
    with pytest.raises(InputError, match="two frames"):
        quantized_speech(codec, Audio(np.zeros(2_000, dtype=np.float32), 24_000))
