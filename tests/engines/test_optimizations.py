"""Switches in an engine: each does what it says, and a failure is named."""

import numpy as np
import pytest
import torch

import workbench
from workbench.errors import InputError, ModelError
from workbench.optimizations import NAMES, closure, switch
from workbench.optimizations.site import site_of

CPU = site_of(torch.device("cpu"))
COMPILED = [name for name in NAMES if "torch_compile" in (name, *closure(name))]
GREEDY = {"temperature": 0, "max_frames": 12}


@pytest.fixture(scope="module")
def expected(tiny_folder):
    return workbench.load(str(tiny_folder), optimizations=[]).synthesize("good morning", **GREEDY)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in COMPILED])
@pytest.mark.parametrize("beside", [[], ["frame_step"]])
def test_each_switch_speaks_and_keeps_its_promise(name, beside, tiny_folder, expected):
    """The tiny model's codes are far apart: what is exact or within tolerance keeps them."""
    if switch(name).supported(CPU):
        first = next(one for one in (*closure(name), name) if switch(one).supported(CPU))
        with pytest.raises(InputError, match=f"optimization {first}.* can't be used here"):
            workbench.load(str(tiny_folder), device="cpu", optimizations=[*closure(name), name])
        return
    names = list(dict.fromkeys([*closure(name), *beside, name]))
    engine = workbench.load(str(tiny_folder), device="cpu", optimizations=names)
    assert set(names) == {one.partition("=")[0] for one in engine.optimizations}
    speech = engine.synthesize("good morning", **GREEDY)
    assert speech.frames == expected.frames
    if switch(name).contract.promise != "lossy":
        assert np.array_equal(speech.codes, expected.codes)
        assert np.abs(speech.samples - expected.samples).max() <= 1e-3
    stream = engine.stream("good morning", **GREEDY)
    assert sum(len(chunk.audio) for chunk in stream) == len(speech)


def test_no_switch_is_transformers_in_float32(tiny_folder):
    engine = workbench.load(str(tiny_folder), optimizations=[])
    assert engine.implementation == "transformers"
    assert engine.dtype == engine.codec.dtype == torch.float32
    assert engine.optimizations == ()


def test_a_preset_by_name_tells_what_it_left_out(tiny_folder, monkeypatch):
    monkeypatch.setenv("WORKBENCH_TORCH_COMPILE", "0")
    engine = workbench.load(str(tiny_folder), device="cpu", optimizations="conversation")
    assert "tf32" in engine.left_out
    assert "WORKBENCH_TORCH_COMPILE" in engine.left_out["torch_compile"]
    assert "hybrid_precision" in engine.optimizations
    assert engine.dtype == torch.bfloat16
    assert engine.codec.dtype == torch.float32


@pytest.mark.parametrize(
    ("name", "networks", "codec"),
    [
        ("bf16", torch.bfloat16, torch.bfloat16),
        ("hybrid_precision", torch.bfloat16, torch.float32),
        ("autocast", torch.float32, torch.float32),
        ("bf16_default", torch.float32, torch.float32),
    ],
)
def test_types(name, networks, codec, tiny_folder):
    engine = workbench.load(str(tiny_folder), device="cpu", optimizations=[name])
    assert (engine.dtype, engine.codec.dtype) == (networks, codec)
    assert engine.synthesize("hi", seed=0, max_frames=3).samples.dtype == np.float32


def test_autocast_does_not_leak_between_chunks(tiny_folder):
    engine = workbench.load(
        str(tiny_folder), device="cpu", optimizations=["frame_step", "true_streaming", "autocast"]
    )
    stream = engine.stream("good morning", seed=0, max_frames=5)
    next(stream)
    assert not torch.is_autocast_enabled("cpu")
    stream.close()


@pytest.mark.parametrize(
    "contradiction",
    [
        {"dtype": "float16", "optimizations": ["bf16"]},
        {"dtype": "float16", "optimizations": ["autocast"]},
        {"dtype": "float16", "optimizations": ["hybrid_precision"]},
        {"implementation": "frame", "optimizations": ["frame_step"]},
        {"threads": 99, "optimizations": ["physical_threads"]},
    ],
)
def test_contradictions_are_refused(contradiction, tiny_folder):
    with pytest.raises(InputError):
        workbench.load(str(tiny_folder), device="cpu", **contradiction)


def test_process_wide_switches_hold_while_it_speaks(tiny_folder):
    names = ["frame_step", "true_streaming", "bf16_default"]
    engine = workbench.load(str(tiny_folder), device="cpu", optimizations=names)
    stream = engine.stream("good morning", seed=0, max_frames=5)
    next(stream)
    assert torch.get_default_dtype() == torch.bfloat16
    stream.close()
    assert torch.get_default_dtype() == torch.float32


def test_a_kernel_that_can_t_be_used_is_named_and_nothing_else_speaks(tiny_folder):
    engine = workbench.load(str(tiny_folder), device="cpu", optimizations=["frame_step"])
    engine.options = type(engine.options)(generator="frame", process=("sdpa_efficient",))
    engine.optimizations = ("frame_step", "sdpa_efficient")
    with pytest.raises(ModelError, match="failed with the optimization sdpa_efficient: .*viable"):
        engine.synthesize("hi", seed=0, max_frames=3)
    engine.options = type(engine.options)(generator="frame")
    assert engine.synthesize("hi", seed=0, max_frames=3).frames == 3


def test_warmup_and_preloading_happen_in_load(tiny_folder, monkeypatch):
    from workbench.engines.csm.engine import CsmEngine
    from workbench.models.csm import load as loading

    done = []
    monkeypatch.setattr(CsmEngine, "warm_up", lambda _: done.append("warm") or 0.0)
    touch = loading.touch
    monkeypatch.setattr(loading, "touch", lambda model: done.append("touched") or touch(model))
    workbench.load(str(tiny_folder), optimizations=["preload_weights", "warmup"])
    assert done == ["touched", "warm"]
    workbench.load(str(tiny_folder), optimizations=[])
    assert len(done) == 2


def test_touching_reads_every_page(tiny_engine):
    from workbench.models.csm.load import touch

    weights = [*tiny_engine.csm.model.parameters(), *tiny_engine.csm.model.buffers()]
    assert touch(tiny_engine.csm.model) >= sum(one.nbytes for one in weights) / 4096


@pytest.mark.parametrize("names", [["batching"], ["frame_step", "batching"]])
def test_batches_speak_as_one_by_one(names, tiny_folder):
    texts = ["hi", "good morning to all of you, how are you?", "yes", "no. " * 30, "hello"]
    off = workbench.load(str(tiny_folder), optimizations=names[:-1])
    on = workbench.load(str(tiny_folder), optimizations=names)
    alone = off.synthesize_batch(texts, temperature=0, max_frames=10)
    batch = on.synthesize_batch(texts, temperature=0, max_frames=10)
    for text, one, other in zip(texts, alone, batch, strict=True):
        assert one.text == other.text == text.strip()
        assert (one.frames, one.ended, len(one)) == (other.frames, other.ended, len(other))
        if "no." not in text:  # its parts are cut each, so that later ones begin anew
            assert np.array_equal(one.codes, other.codes)


def test_batches_are_no_larger_than_memory_allows(tiny_folder, monkeypatch):
    from workbench.engines.csm import engine as csm

    engine = workbench.load(str(tiny_folder), optimizations=["frame_step", "batching"])
    sizes = []
    frames = engine._generator.frames
    monkeypatch.setattr(
        engine._generator, "frames", lambda p, *rest: sizes.append(len(p)) or frames(p, *rest)
    )
    row = csm.row_bytes(engine.config, engine.dtype)
    monkeypatch.setattr(csm, "free_bytes", lambda _: 4 * row)
    assert engine.largest_batch() == 2
    engine.synthesize_batch(["hi"] * 5, temperature=0, max_frames=2)
    assert sizes == [2, 2, 1]


def test_a_seed_gives_the_same_batch_again(tiny_folder):
    engine = workbench.load(str(tiny_folder), optimizations=["frame_step", "batching"])
    texts = ["good morning", "hello there"]
    one, again, other = (
        engine.synthesize_batch(texts, seed=seed, max_frames=10) for seed in (1, 1, 2)
    )
    assert np.array_equal(one[0].codes, again[0].codes)
    assert not np.array_equal(one[0].codes, other[0].codes)


@pytest.mark.parametrize("names", [[], ["batched_text"]])
def test_tokenize_is_what_a_prompt_has(names, tiny_folder):
    from workbench.models.csm.prompt import Segment, token_ids

    engine = workbench.load(str(tiny_folder), optimizations=names)
    texts = ["good morning", "hi"]
    for text, ids in zip(texts, engine.tokenize(texts, voice=2), strict=True):
        assert torch.equal(ids, token_ids(engine.csm, [Segment(text, 2)]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["int8", "int8_dynamic", "fp8"])
def test_8_bit_weights_speak_near_the_original(name, tiny_folder):
    pytest.importorskip("torchao")
    before = torch.get_float32_matmul_precision()
    engine = workbench.load(
        str(tiny_folder), device="cpu", optimizations=["frame_step", "torch_compile", name]
    )
    speech = engine.synthesize("good morning", **GREEDY)
    assert speech.frames == 12
    # A later text has caches of its own, which frozen code must not take for the first's.
    other = engine.synthesize("hello there", **GREEDY)
    again = engine.synthesize("good morning", **GREEDY)
    assert not np.array_equal(other.codes, speech.codes)
    assert np.array_equal(again.codes, speech.codes)
    assert torch.get_float32_matmul_precision() == before
    assert not torch._inductor.config.freezing


@pytest.mark.parametrize(("kind", "error"), [("int8", 0.01), ("int8_dynamic", 0.01), ("fp8", 0.03)])
@pytest.mark.parametrize("names", [["frame_step"], ["frame_step", "fused_projections"], []])
def test_quantizing_rounds_every_linear_of_the_networks(kind, error, names, tiny_folder):
    torchao = pytest.importorskip("torchao")
    from workbench.models.csm.quantization import quantize

    assert torchao
    engine = workbench.load(str(tiny_folder), device="cpu", optimizations=names)
    linears = [
        part
        for network in engine.networks
        for part in network.modules()
        if isinstance(part, torch.nn.Linear)
    ]
    before = [part.weight.detach().clone() for part in linears]
    assert quantize(engine.networks, kind) == len(linears) > 8
    for part, weight in zip(linears, before, strict=True):
        rounded = part.weight.dequantize()
        assert 0 < (rounded - weight).norm() / weight.norm() < error
    assert engine.synthesize("hi", **GREEDY).frames == 12


def test_without_torchao_the_error_names_the_remedy(tiny_engine, monkeypatch):
    import sys

    from workbench.models.csm.quantization import quantize

    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(ModelError, match=r"int8 needs torchao(.|\n)*workbench\[int8\]"):
        quantize(tiny_engine.networks, "int8")
