"""A token's limit against the models that it speaks of."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from tests import tiny_chat
from workbench.errors import InputError
from workbench.finetune.nano.chat import build_tokenizer
from workbench.hardware.ceilings import Ceiling, Ceilings
from workbench.models.chat.architectures import architecture
from workbench.profiling.token_limit import token_limit


def ceilings(cache_bytes=32 << 20, cached_gbs=None):
    def one(name, rate, unit="GB/s"):
        return Ceiling(name, "cpu", "float32", 1, unit, (rate,) * 3, "x")

    results = [one("copy", 20.0), one("read", 16.0), one("matmul", 100.0, "GFLOP/s")]
    if cached_gbs:
        results.append(one("cached read", cached_gbs))
    return Ceilings("a test CPU", tuple(results), {"cpu": cache_bytes}, (), 1.0, 1.0)


@pytest.fixture(scope="module")
def odd():
    """Odd proportions, so that a formula with two swapped sizes is caught."""
    config = LlamaConfig(
        vocab_size=70, hidden_size=48, intermediate_size=80, num_hidden_layers=3, head_dim=20,
        num_attention_heads=6, num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    model.set_attn_implementation("eager")  # its products are counted one by one
    return model


def test_weights_are_those_of_the_model(odd):
    limit = token_limit(odd.config, ceilings(), position=0)
    assert limit.weights == sum(parameter.numel() for parameter in odd.parameters())
    cache = 2 * 3 * 2 * 20
    assert limit.nbytes == 4 * (limit.weights + 48 + cache)


def test_operations_are_those_of_the_model(odd):
    past = odd(torch.arange(9)[None], use_cache=True).past_key_values
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        odd(torch.tensor([[3]]), past_key_values=past, use_cache=True)
    limit = token_limit(odd.config, ceilings(), position=9)
    # transformers also multiplies positions into angles.
    assert counter.get_total_flops() == pytest.approx(limit.flops, rel=0.01)


def test_the_limit_is_the_slower_of_reading_and_reckoning(odd):
    config = tiny_chat.model(build_tokenizer()).config
    near = token_limit(config, ceilings(cached_gbs=80.0))
    far = token_limit(config, ceilings(cache_bytes=1000, cached_gbs=80.0))
    assert near.cached
    assert not far.cached
    assert far.limit_ms == pytest.approx(far.nbytes / 20e6)
    assert near.limit_ms == pytest.approx(near.nbytes / 80e6)
    assert near.bound_by == "memory"
    assert near.tokens_per_s == pytest.approx(1000 / near.limit_ms)
    assert "from its cache" in near.describe()
    assert "from memory" in far.describe()
    slow = token_limit(config, ceilings(cached_gbs=80e3))
    assert slow.bound_by == "compute"
    assert slow.limit_ms == pytest.approx(slow.flops / 100e6)


def test_a_real_size():
    limit = token_limit(architecture("llama-3.2-1b"), ceilings(), position=0)
    assert limit.weights == 1_235_814_400  # as published
    with pytest.raises(InputError, match="float64"):
        token_limit(architecture("llama-3.2-1b"), ceilings(), "float64")
