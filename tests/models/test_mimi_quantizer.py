"""The codebooks' table against transformers' quantizer."""

import pytest
import torch

from tests.models.conftest import random_codes
from workbench.models.mimi.quantizer import Codebooks


@pytest.mark.parametrize("codebooks", range(1, 6))
@torch.no_grad()
def test_latents_equal_transformers(tiny_codec, codebooks):
    codes = random_codes(tiny_codec, 2, 9, codebooks)
    latents = Codebooks(tiny_codec.quantizer).decode(codes)
    expected = tiny_codec.quantizer.decode(codes).transpose(1, 2)
    torch.testing.assert_close(latents, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("codebooks", range(2, 6))
@torch.no_grad()
def test_codes_equal_transformers(tiny_codec, codebooks):
    latents = torch.randn(2, 16, 40, generator=torch.Generator().manual_seed(0))
    codes = Codebooks(tiny_codec.quantizer).encode(latents.transpose(1, 2), codebooks)
    expected = tiny_codec.quantizer.encode(latents, codebooks).transpose(0, 1)
    assert torch.equal(codes, expected)


@pytest.mark.parametrize("codebooks", range(1, 6))
@torch.no_grad()
def test_native_codes_equal_ours(tiny_codec, codebooks):
    latents = torch.randn(2, 40, 16, generator=torch.Generator().manual_seed(0))
    native = Codebooks(tiny_codec.quantizer, native=True).encode(latents, codebooks)
    assert torch.equal(native, Codebooks(tiny_codec.quantizer).encode(latents, codebooks))


def test_a_table_entry_is_the_mean_of_its_cluster(nano_codec):
    book = nano_codec.quantizer.acoustic_residual_vector_quantizer.layers[2].codebook
    table = Codebooks(nano_codec.quantizer).table.view(8, 512, -1)
    torch.testing.assert_close(table[3, 5], book.embed_sum[5] / book.cluster_usage[5])
    assert not table.isnan().any()
