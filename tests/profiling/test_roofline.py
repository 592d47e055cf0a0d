import json

import pytest
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode
from transformers import CsmConfig, CsmForConditionalGeneration, DynamicCache

from workbench.errors import InputError
from workbench.hardware.ceilings import Ceiling, Ceilings
from workbench.profiling.roofline import csm_1b_config, frame_limit, frame_parts

transformers.logging.set_verbosity_error()


@pytest.fixture(scope="module")
def csm_1b():
    """The full architecture without its weights; CsmConfig's defaults are CSM-1B's."""
    with torch.device("meta"):
        return CsmForConditionalGeneration(csm_1b_config()).eval()


@pytest.fixture(scope="module")
def small():
    """Odd proportions, so that a formula with two swapped sizes is caught."""
    codec = {
        "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3, "head_dim": 16,
        "num_attention_heads": 3, "num_key_value_heads": 3, "num_filters": 4, "codebook_size": 32,
        "codebook_dim": 24, "vector_quantization_hidden_dimension": 24, "num_quantizers": 6,
        "upsample_groups": 48, "sliding_window": 20, "num_residual_layers": 2,
        "use_conv_shortcut": True,
    }  # fmt: skip
    depth = {
        "backbone_hidden_size": 96, "hidden_size": 40, "intermediate_size": 72, "vocab_size": 35,
        "num_codebooks": 6, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 12,
        "num_key_value_heads": 2, "max_position_embeddings": 7,
    }  # fmt: skip
    config = CsmConfig(
        hidden_size=96, intermediate_size=112, num_hidden_layers=3, num_attention_heads=6,
        num_key_value_heads=2, head_dim=20, vocab_size=35, num_codebooks=6, text_vocab_size=99,
        codec_config={"model_type": "mimi", **codec}, depth_decoder_config=depth,
    )  # fmt: skip
    model = CsmForConditionalGeneration(config).eval()
    model.set_attn_implementation("eager")  # its products are counted one by one
    return model


def ceilings(device="cuda:0", cache_bytes=50 << 20, cached_gbs=None):
    """An H200: 4.3 TB/s measured copy, 790 TFLOP/s in bfloat16."""

    def one(name, dtype, rate):
        unit = "GFLOP/s" if name == "matmul" else "GB/s"
        return Ceiling(name, device, dtype, None, unit, (rate,) * 3, "x")

    results = [one("copy", "float32", 4300.0), one("read", "bfloat16", 4000.0),
               one("matmul", "bfloat16", 790e3), one("matmul", "float32", 50e3)]  # fmt: skip
    if cached_gbs:
        results.append(one("cached read", "float32", cached_gbs))
    return Ceilings("NVIDIA H200", tuple(results), {device: cache_bytes}, (), 6.0, 6.0)


def count(module, without=""):
    return sum(p.numel() for name, p in module.named_parameters() if name != without)


@pytest.mark.parametrize("name", ["csm_1b", "small"])
def test_weights_are_those_of_the_model(name, request):
    model = request.getfixturevalue(name)
    parts = {part.name: part for part in frame_parts(model.config, position=10)}
    backbone, depth, codec = model.backbone_model, model.depth_decoder, model.codec_model
    assert parts["backbone"].weights == count(backbone.layers) + count(backbone.norm)
    assert parts["depth decoder"].weights == count(depth.model.layers) + count(depth.model.norm)
    assert parts["depth projection"].weights == count(depth.model.inputs_embeds_projector)
    assert parts["codebook heads"].weights == count(depth.codebooks_head)
    assert parts["first code's head"].weights == count(model.lm_head)
    quantizers = codec.quantizer.semantic_residual_vector_quantizer, (
        codec.quantizer.acoustic_residual_vector_quantizer
    )  # fmt: skip
    projections = sum(count(one.output_proj) for one in quantizers)
    assert parts["Mimi decoder"].weights == count(codec.decoder) + projections


def test_published_sums_of_csm_1b(csm_1b):
    parts = {part.name: part for part in frame_parts(csm_1b.config, position=0)}
    assert parts["backbone"].weights / 1e6 == pytest.approx(973, abs=0.5)
    assert parts["depth decoder"].weights / 1e6 == pytest.approx(111, abs=0.5)
    assert parts["depth decoder"].passes == 31
    limit = frame_limit(csm_1b.config, ceilings(), "bfloat16", position=0)
    language = sum(limit.bytes_by_part.values()) - limit.bytes_by_part["Mimi decoder"]
    assert language / 1e9 == pytest.approx(9.1, abs=0.05)
    codec_ms = limit.limit_ms_by_part["Mimi decoder"]
    assert limit.limit_ms - codec_ms == pytest.approx(2.1, abs=0.05)
    assert codec_ms < 0.05
    assert limit.bound_by == "memory"
    assert limit.frame_ms == 80
    assert limit.sentence("CSM-1B") == (
        "One 80 ms frame of CSM-1B in bfloat16 takes at least 2.16 ms at the ceilings measured "
        "here: real time is in reach."
    )


def test_the_depth_decoder_really_runs_once_a_code_but_the_first(small):
    tokens = []
    hook = small.depth_decoder.model.register_forward_hook(
        lambda module, args, kwargs, out: tokens.append(out[0].shape[1]), with_kwargs=True
    )
    small.depth_decoder.generation_config.do_sample = False
    small.generate(torch.ones(1, 3, dtype=torch.long), max_new_tokens=1, do_sample=False)
    hook.remove()
    assert tokens == [2, 1, 1, 1, 1]  # six codebooks


def test_operations_are_those_that_torch_counts(small):
    config, position = small.config, 30
    parts = {part.name: part for part in frame_parts(config, position)}
    cache = DynamicCache(config=config)
    prompt = torch.zeros(1, position, config.hidden_size)
    step = torch.zeros(1, 1, config.hidden_size)
    with torch.no_grad():
        small.backbone_model(inputs_embeds=prompt, past_key_values=cache, use_cache=True)
        with FlopCounterMode(display=False) as counter:
            small.backbone_model(inputs_embeds=step, past_key_values=cache, use_cache=True)
    assert counter.get_total_flops() == parts["backbone"].flops

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        past = DynamicCache(config=config.depth_decoder_config)
        for tokens in [2, 1, 1, 1, 1]:
            embeds = torch.zeros(1, tokens, config.hidden_size)
            small.depth_decoder.model(inputs_embeds=embeds, past_key_values=past, use_cache=True)
    ours = parts["depth decoder"].flops + parts["depth projection"].flops
    # Eager attention computes the masked half of the first pass's 2 × 2 scores, too.
    assert counter.get_total_flops() == pytest.approx(ours, rel=0.01)


def test_operations_of_mimi(small):
    frames, config, codec = 10, small.config.codec_config, small.codec_model
    mimi = frame_parts(small.config, 10_000)[-1]
    codes = torch.zeros(1, 6, frames, dtype=torch.long)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        codec.decoder(codec.quantizer.decode(codes))
    # Offline, each of 20 positions meets all 20; in a stream, those of the sliding window.
    scores = 4 * config.num_hidden_layers * config.num_attention_heads * config.head_dim
    offline = (counter.get_total_flops() - scores * 20 * 20) / frames
    assert mimi.flops - 2 * scores * config.sliding_window == offline


def test_bytes_grow_with_position_type_and_streams(small):
    def limit(dtype="bfloat16", position=100, **options):
        return frame_limit(
            small.config, ceilings(), dtype, position, **{"codec_dtype": dtype} | options
        )

    one = limit()
    row = 2 * 3 * 2 * 20 * 2  # keys and values, layers, heads, head size, bytes
    later = limit(position=101)
    assert later.bytes_by_part["backbone"] - one.bytes_by_part["backbone"] == row
    wide = limit("float32")
    assert {part: 2 * size for part, size in one.bytes_by_part.items()} == wide.bytes_by_part
    mixed = limit(codec_dtype="float32")
    assert mixed.bytes_by_part["Mimi decoder"] == wide.bytes_by_part["Mimi decoder"]
    assert mixed.bytes_by_part["backbone"] == one.bytes_by_part["backbone"]
    four = limit(streams=4)
    assert four.flops_by_part["backbone"] == 4 * one.flops_by_part["backbone"]
    shared = 4 * one.bytes_by_part["backbone"] - four.bytes_by_part["backbone"]
    weights = next(p.weights for p in frame_parts(small.config, 0) if p.name == "backbone")
    assert shared == 3 * 2 * weights
    assert four.rtf < one.rtf


def test_many_streams_are_bound_by_compute(csm_1b):
    limit = frame_limit(csm_1b.config, ceilings(), streams=1024, position=0)
    assert limit.bound_by == "compute"
    flops = sum(limit.flops_by_part.values())
    assert limit.limit_ms >= 0.99 * flops / 790e3 / 1e6


def test_weights_in_the_cache_are_not_charged_to_memory(csm_1b, small):
    slow = frame_limit(small.config, ceilings(), codec_dtype="bfloat16")
    assert "may beat this limit" in slow.notes[0]  # it fits, and the cache's rate is unknown
    fast = frame_limit(small.config, ceilings(cached_gbs=43_000.0), codec_dtype="bfloat16")
    assert set(fast.cached) == set(fast.bytes_by_part)
    assert fast.notes == ()
    assert fast.limit_ms == pytest.approx(slow.limit_ms / 10, rel=0.3)

    # 250 MB hold the depth decoder (222 MB), not the whole: its first read comes from memory.
    held = frame_limit(csm_1b.config, ceilings(cache_bytes=250_000_000, cached_gbs=43_000.0))
    assert set(held.cached) == {"depth projection", "depth decoder"}
    once_ms = 2 * 111.16e6 / 4300e6
    assert held.limit_ms_by_part["depth decoder"] == pytest.approx(
        once_ms + 30 * once_ms / 10, rel=0.01
    )


def test_describe_and_json(csm_1b):
    limit = frame_limit(csm_1b.config, ceilings(), position=256)
    lines = limit.describe().splitlines()
    assert "NVIDIA H200" in lines[0]
    assert all(any(part in line for line in lines) for part in limit.bytes_by_part)
    assert "at least 2.1" in limit.describe()
    assert json.loads(json.dumps(limit.to_dict()))["limit_ms"] == limit.limit_ms


def test_bad_questions_are_refused(small):
    with pytest.raises(InputError, match="int3"):
        frame_limit(small.config, ceilings(), "int3")
    with pytest.raises(InputError, match="position -1"):
        frame_limit(small.config, ceilings(), position=-1)
    with pytest.raises(InputError, match="float16"):
        frame_limit(small.config, ceilings(), "float16")  # no such ceiling was measured
