"""A codec in 16 bits hears nearly what it hears in float32, whatever oneDNN makes of it."""

import copy

import numpy as np
import pytest
import torch

import workbench
from workbench.audio import Audio
from workbench.engines.speech import Reference
from workbench.models.mimi.onednn import right_convolutions
from workbench.models.mimi.streaming import MimiEncoderStream, offline_latents


@pytest.fixture(scope="module")
def codec():
    return workbench.load("csm-nano", device="cpu").codec


@pytest.fixture(scope="module")
def half(codec):
    made = copy.deepcopy(codec)
    for module in made.modules():
        if hasattr(module, "_embed"):
            module._embed = None  # codebooks' tables don't follow a change of type
    return made.to(torch.bfloat16)


@pytest.fixture(scope="module")
def sound():
    engine = workbench.load("csm-nano", device="cpu")
    return torch.from_numpy(engine.synthesize("good morning sarah", voice=1, seed=0).samples)


def test_latents_in_16_bits_are_near_those_in_32(codec, half, sound):
    exact = offline_latents(codec, sound[None, None])
    rounded = offline_latents(half, sound[None, None].bfloat16()).float()
    assert (rounded - exact).norm() / exact.norm() < 0.1


def test_codes_of_a_stream_in_16_bits_are_mostly_those_in_32(codec, half, sound):
    whole = sound[: len(sound) // 1920 * 1920][None]
    exact = MimiEncoderStream(codec).step(whole)
    rounded = MimiEncoderStream(half).step(whole.bfloat16())
    assert (rounded == exact).float().mean() > 0.6


def test_a_reference_is_the_same_to_an_engine_in_16_bits(sound):
    reference = Reference(Audio(sound.numpy(), 24_000), "good morning sarah", 1)
    codes = [
        workbench.load("csm-nano", device="cpu", optimizations=names).encoded(reference).codes
        for names in (["frame_step"], ["frame_step", "bf16"])
    ]
    assert np.mean(codes[0] == codes[1]) > 0.6


def test_float32_is_left_alone(codec, half):
    before = torch.backends.mkldnn.enabled
    with right_convolutions(codec):
        assert torch.backends.mkldnn.enabled == before
    with right_convolutions(half):
        assert not torch.backends.mkldnn.enabled
    assert torch.backends.mkldnn.enabled == before
