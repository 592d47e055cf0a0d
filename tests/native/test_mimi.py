import pytest
import torch

from tests import tiny
from workbench.errors import InputError
from workbench.native.mimi import encode_latents


@pytest.fixture(scope="module")
def codec():
    return codec_with_codebooks(tiny.model().codec_model)


def codec_with_codebooks(codec):
    generator = torch.Generator().manual_seed(1)
    for module in codec.modules():
        if hasattr(module, "embed_sum"):
            module.embed_sum.copy_(torch.randn(module.embed_sum.shape, generator=generator))
            module.cluster_usage.uniform_(0.5, 2, generator=generator)
            module._embed = None
    return codec


def latents(codec, frames, rows=1):
    return torch.randn(rows, codec.config.hidden_size, frames)


@pytest.mark.parametrize("rows", [1, 3])
def test_transformers_codes(codec, built, rows):
    x = latents(codec, 50, rows)
    with torch.no_grad():
        expected = codec.quantizer.encode(x).transpose(0, 1)
    assert torch.equal(encode_latents(codec, x), expected)


def test_fewer_codebooks(codec, built):
    x = latents(codec, 10)
    every = encode_latents(codec, x)
    for count in (1, 3):
        assert torch.equal(encode_latents(codec, x, count), every[:, :count])
    for count in (0, 5):
        with pytest.raises(InputError, match=f"{count} codebooks"):
            encode_latents(codec, x, count)


def test_changed_codebooks_are_noticed(codec, built):
    x = latents(codec, 30)
    before = encode_latents(codec, x)
    book = codec.quantizer.acoustic_residual_vector_quantizer.layers[0].codebook
    kept = book.embed_sum.clone()
    book.embed_sum.copy_(kept.flip(0))
    book._embed = None
    try:
        after = encode_latents(codec, x)
        with torch.no_grad():
            assert torch.equal(after, codec.quantizer.encode(x).transpose(0, 1))
        assert not torch.equal(after, before)
    finally:
        book.embed_sum.copy_(kept)
        book._embed = None


def test_replaced_codebooks_are_noticed(codec, built):
    x = latents(codec, 30)
    before = encode_latents(codec, x)
    book = codec.quantizer.semantic_residual_vector_quantizer.layers[0].codebook
    kept = book.embed_sum
    book.embed_sum = kept.flip(0)
    try:
        assert not torch.equal(encode_latents(codec, x), before)
    finally:
        book.embed_sum = kept
    assert torch.equal(encode_latents(codec, x), before)


def test_no_frames(codec, built):
    assert encode_latents(codec, latents(codec, 0)).shape == (1, tiny.CODEBOOKS, 0)


def test_latents_that_are_no_numbers(codec, built):
    x = latents(codec, 4)
    x[0, 0, 2] = float("nan")
    with pytest.raises(InputError, match="NaN"):
        encode_latents(codec, x)
