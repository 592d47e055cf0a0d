"""The frame step's switches: they take effect, and they keep their promises."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import workbench
from workbench.audio import Audio
from workbench.engines.conditions import networks as networks_block
from workbench.engines.csm.streams import StreamPool
from workbench.engines.speech import Reference
from workbench.errors import InputError
from workbench.models.csm import accelerate
from workbench.models.csm.accelerate import Compiler
from workbench.models.csm.end import LateFlag, PromptFlag, end_flag
from workbench.models.csm.frame import FrameStep
from workbench.models.csm.graphs import CallCapture, CudaCapture, GraphedFrames, capture_for
from workbench.models.csm.native_layers import NativeLayers, _NativeStep
from workbench.models.csm.networks import FusedDecoderLayer
from workbench.models.csm.prefill import BucketedPrefill
from workbench.models.mimi.native_decoder import NativeDecoderStream
from workbench.native import native_status
from workbench.optimizations.registry import choose, resolve
from workbench.optimizations.switch import Site

TEXTS = ["good morning", "how are you today?", "a"]
BASE = ["frame_step", "buffer_pool", "sync_free_sampling"]
GPU = Site(device="cuda", capability=(9, 0))


@pytest.fixture(scope="module")
def reference():
    sound = 0.1 * np.random.default_rng(0).standard_normal(20_000)
    return Reference(Audio(sound, 24_000), "hello there", 1)


def speak(engine, text="good morning", **how):
    return engine.synthesize(text, **{"seed": 3, "max_frames": 90, **how})


def step_of(engine):
    return engine._generator._step


def same_codes(one, other, reference=None):
    """Equal codes, greedy and drawn, with context audio and in a batch of three rows."""
    for text in TEXTS[:2]:
        for how in ({"temperature": 0}, {}):
            a, b = speak(one, text, **how), speak(other, text, **how)
            assert np.array_equal(a.codes, b.codes)
    for how in ({"temperature": 0}, {}):
        a, b = (
            engine.synthesize("hi", seed=1, context=[reference], max_frames=20, **how)
            for engine in (one, other)
        )
        assert np.array_equal(a.codes, b.codes)
    assert np.array_equal(batch(one), batch(other))


def batch(engine, frames=80):
    """Codes ``[T, B, K]`` of three rows of different lengths, drawn together."""
    from workbench.engines.csm.stages import StageClock
    from workbench.models.csm.prompt import Segment

    clock = StageClock(False, torch.device("cpu"))
    prompts = [[Segment(text, 0)] for text in TEXTS]
    made = engine._generator.frames(prompts, engine.csm.sampling, 5, frames, clock)
    return torch.stack(list(made)).numpy()


@pytest.fixture(scope="module")
def base(tiny_folder):
    return workbench.load(str(tiny_folder), optimizations=BASE)


@pytest.fixture
def load(tiny_folder):
    def loaded(*names, **how):
        return workbench.load(str(tiny_folder), optimizations=[*names], **how)

    return loaded


def test_fused_projections_run_fused_and_keep_the_codes(load, base, reference):
    engine = load(*BASE, "fused_projections")
    calls = []
    layer = engine._generator.networks.backbone.layers[0]
    assert isinstance(layer, FusedDecoderLayer)
    for part in (layer.projection, layer.gate_up):
        part.register_forward_hook(lambda *_: calls.append(1))
    same_codes(engine, base, reference)
    assert calls


def test_fused_weights_take_no_memory_and_leave_transformers_as_it_was(load, base):
    engine = load(*BASE, "fused_projections")
    attention = engine.csm.model.backbone_model.layers[0].self_attn
    fused = engine._generator.networks.backbone.layers[0].projection.weight
    for part in (attention.q_proj, attention.k_proj, attention.v_proj):
        assert part.weight.untyped_storage().data_ptr() == fused.untyped_storage().data_ptr()
    theirs = engine.with_implementation("transformers")
    again = engine.with_implementation("frame")  # fuses what is fused: no second copy
    second = again._generator.networks.backbone.layers[0].projection.weight
    assert second.data_ptr() == fused.data_ptr()
    codes = [speak(one, temperature=0).codes for one in (theirs, again, base)]
    assert np.array_equal(codes[0], codes[2])
    assert np.array_equal(codes[1], codes[2])


def test_folded_depth_embedding_needs_no_projector_after_the_first_position(load, base, reference):
    engine = load(*BASE, "folded_depth_embedding")
    same_codes(engine, base, reference)

    def calls(engine):
        seen = []
        hook = engine._generator.networks.projector.register_forward_hook(lambda *_: seen.append(1))
        speak(engine, max_frames=10)
        hook.remove()
        return len(seen)

    assert calls(engine) == 10  # the hidden state's, once a frame
    assert calls(base) == 10 * engine.config.num_codebooks


def test_sync_free_sampling_is_greedily_equal_and_draws_otherwise(load, base):
    plain = load("frame_step", "buffer_pool")
    greedy = [speak(engine, temperature=0).codes for engine in (plain, base)]
    assert np.array_equal(*greedy)
    assert not np.array_equal(speak(plain).codes, speak(base).codes)


def test_without_sync_free_sampling_torch_multinomial_draws(load, base, monkeypatch):
    plain = load("frame_step")
    drawn = []
    multinomial = torch.multinomial
    monkeypatch.setattr(
        torch, "multinomial", lambda *a, **k: (drawn.append(1), multinomial(*a, **k))[1]
    )
    speak(plain, max_frames=10)
    assert drawn
    drawn.clear()
    speak(base, max_frames=10)
    assert not drawn


def test_the_late_flag_answers_for_the_frame_before():
    flag = LateFlag(pinned=False)
    asked = [False, True, True]
    assert [flag.read(torch.tensor(one)) for one in asked] == [False, False, True]
    assert isinstance(end_flag(torch.device("cpu"), True), PromptFlag)


def test_a_late_flag_changes_no_speech(load, monkeypatch):
    def silent(engine):
        with torch.no_grad():  # equal logits: greedy decoding takes code 0, the end of audio
            engine.csm.model.lm_head.weight.zero_()
            engine.csm.model.depth_decoder.codebooks_head.weight.zero_()
        return engine.synthesize("good morning", temperature=0)

    prompt = silent(load(*BASE))
    monkeypatch.setattr(
        "workbench.engines.csm.frame_generator.end_flag", lambda *_: LateFlag(pinned=False)
    )
    late = load(*BASE)
    speech = silent(late)
    assert (speech.ended, speech.frames) == (prompt.ended, prompt.frames) == ("eos", 0)


def test_buffer_pool_keeps_the_caches_and_changes_nothing(load, base):
    anew = load("frame_step", "sync_free_sampling", "true_streaming")
    pooled = load(*BASE, "true_streaming")
    sounds = []
    for engine in (anew, pooled):
        first = speak(engine)
        step = step_of(engine)
        stream = engine.stream("how are you today?", seed=1, max_frames=20)
        list(stream)
        second = speak(engine)
        kept = step_of(engine) is step
        assert kept == (engine is pooled)
        assert np.array_equal(first.codes, second.codes)
        assert np.array_equal(first.samples, second.samples)
        sounds.append((first.codes, first.samples, stream.speech.samples))
    for a, b in zip(*sounds, strict=True):
        assert np.array_equal(a, b)


def test_a_frame_from_static_buffers_is_the_same_frame(load, base, reference, monkeypatch):
    """The graph's logic with its stand-in for the CPU, which replays by calling."""
    captured = []

    class Spy(CallCapture):
        def __call__(self, work, state):
            replays = []
            captured.append(replays)
            return lambda: (replays.append(1), work())[1]

    monkeypatch.setattr("workbench.engines.csm.frame_generator.capture_for", lambda _: Spy())
    engine = load(*BASE)
    networks = engine._generator.networks
    networks.settings = replace(networks.settings, cuda_graphs=True)  # refused on a CPU
    same_codes(engine, base, reference)
    frames = engine._generator._frames
    assert isinstance(frames, GraphedFrames)
    assert frames.graphs < 10
    assert sum(map(len, captured)) > 200  # every frame came from a replay


def test_warm_up_calls_of_a_capture_leave_no_trace(base):
    """A capture runs the work several times before; the state it is given must be put back."""

    class Rehearsed:
        def __call__(self, work, state):
            before = [tensor.clone() for tensor in state]
            for _ in range(3):
                work()
                for tensor, saved in zip(state, before, strict=True):
                    tensor.copy_(saved)
            return work

    networks = base._generator.networks
    sampling = base.csm.sampling
    made = []
    for capture in (None, Rehearsed()):
        step = FrameStep(networks)
        frames = step if capture is None else GraphedFrames(step, capture)
        generator = torch.Generator().manual_seed(0)
        with torch.inference_mode():
            hidden = step.prefill([step.embed_text(torch.arange(5, 15))])
            codes = [frames.frame(hidden, sampling, generator)]
            for _ in range(70):
                codes.append(frames.following(codes[-1], sampling, generator))
        made.append(torch.stack(codes))
    assert torch.equal(*made)


def test_cuda_graphs_need_a_gpu_and_what_makes_a_frame_capturable():
    names = [*BASE, "cuda_graphs"]
    with pytest.raises(InputError, match="CUDA GPUs only"):
        resolve(names, Site())
    assert resolve(names, GPU).cuda_graphs
    with pytest.raises(InputError, match="needs"):
        resolve(["frame_step", "cuda_graphs"], GPU)
    assert isinstance(capture_for(torch.device("cpu")), CallCapture)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
@pytest.mark.parametrize("more", [[], ["prefill_buckets"]], ids=str)
def test_a_captured_frame_is_the_same_frame(tiny_folder, reference, more):
    engines = [
        workbench.load(str(tiny_folder), device="cuda", optimizations=[*BASE, *graphs])
        for graphs in ([], ["cuda_graphs", *more])
    ]
    assert isinstance(end_flag(engines[1].device, True), LateFlag)
    same_codes(*engines, reference)
    assert isinstance(engines[1]._generator._frames._capture, CudaCapture)
    assert isinstance(step_of(engines[1]).read_prompts, BucketedPrefill) == bool(more)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_a_captured_frame_casts_its_weights_itself(tiny_folder):
    """What autocast keeps for a block is gone when the next request replays the graph."""
    switches = [*BASE, "autocast"]
    plain, graph = (
        workbench.load(str(tiny_folder), device="cuda", optimizations=[*switches, *more])
        for more in ([], ["cuda_graphs"])
    )
    for text in TEXTS:
        a, b = (speak(one, text, max_frames=20, temperature=0) for one in (plain, graph))
        assert np.array_equal(a.codes, b.codes)


def test_weights_are_cast_anew_only_where_graphs_are_captured():
    for names, kept in ((["autocast"], True), ([*BASE, "cuda_graphs", "autocast"], False)):
        options = replace(resolve(names, GPU), autocast_dtype="bfloat16")
        with networks_block(options, torch.device("cpu")):
            assert torch.is_autocast_cache_enabled() is kept
        assert torch.is_autocast_cache_enabled()


def test_a_prompt_from_buckets_keeps_the_codes(load, base, reference):
    """The padded prefill without its captures, which a CPU hasn't."""
    engine = load(*BASE)
    networks = engine._generator.networks
    networks.settings = replace(networks.settings, prefill_buckets=True)  # refused on a CPU
    same_codes(engine, base, reference)
    speak(engine, max_frames=2)
    prefill = step_of(engine).read_prompts
    assert isinstance(prefill, BucketedPrefill)
    assert prefill.graphs == engine.graphs_captured == 1
    engine.warm_up()
    assert step_of(engine).read_prompts is prefill
    assert prefill.graphs == len(prefill.lengths)  # and so no later request captures one
    for length in (1, 13, 40, 90):
        context = [reference] if length < 40 else []
        a, b = (speak(one, "a" * length, context=context, max_frames=40) for one in (engine, base))
        assert np.array_equal(a.codes, b.codes)
    assert prefill.graphs == len(prefill.lengths)


def test_prefill_buckets_are_for_graphs():
    with pytest.raises(InputError, match="CUDA GPUs only"):
        resolve([*BASE, "cuda_graphs", "prefill_buckets"], Site())
    with pytest.raises(InputError, match="prefill_buckets needs cuda_graphs"):
        resolve([*BASE, "prefill_buckets"], GPU)
    assert resolve([*BASE, "cuda_graphs", "prefill_buckets"], GPU).prefill_buckets


def test_torch_jit_runs_traces_and_keeps_the_codes(load, base, reference):
    engine = load(*BASE, "torch_jit")
    same_codes(engine, base, reference)
    for name in ("read", "first_code", "second_code", "next_code"):
        function = getattr(step_of(engine), name)
        assert function.traces
        assert all(isinstance(one, torch.jit.ScriptFunction) for one in function.traces.values())
    plain, traced = load("frame_step"), load("frame_step", "torch_jit")
    assert np.array_equal(speak(plain).codes, speak(traced).codes)


native = pytest.mark.skipif(
    not native_status().built, reason=f"native kernels: {native_status().reason}"
)
FOLDED = [*BASE, "fused_projections", "folded_depth_embedding"]


@native
def test_native_layers_run_and_keep_the_codes(load, base, reference):
    engine = load(*FOLDED, "native_layers")
    assert isinstance(engine._generator._accelerator, NativeLayers)
    same_codes(engine, base, reference)
    step = step_of(engine)
    for function in (step.read, step.write):
        assert isinstance(function.__self__, _NativeStep)


@native
@pytest.mark.slow
def test_native_layers_speak_csm_nano_with_equal_codes():
    engines = [
        workbench.load("csm-nano", dtype="float32", optimizations=[*FOLDED, *more])
        for more in ([], ["native_layers"])
    ]
    for text in ("good morning sarah", "the red house is near the river"):
        for how in ({"temperature": 0}, {}):
            a, b = (engine.synthesize(text, seed=2, **how) for engine in engines)
            assert a.frames > 5
            assert np.array_equal(a.codes, b.codes)
            assert np.abs(a.samples - b.samples).max() < 1e-3


@native
def test_native_layers_are_timed_and_stream_as_they_speak(load):
    engine = load(*FOLDED, "native_layers", "true_streaming")
    stream = engine.stream("good morning", seed=3, max_frames=20)
    list(stream)
    assert np.array_equal(stream.speech.codes, speak(engine, max_frames=20).codes)


@native
def test_native_codec_decodes_and_keeps_the_sound(load, base):
    for more in ((), (*FOLDED, "native_layers")):  # over transformers' generate, too
        engine = load(*more, "native_codec")
        ours = speak(engine, max_frames=30)
        assert isinstance(engine.sound.fresh_stream(), NativeDecoderStream)
        theirs = speak(load(*more) if not more else base, max_frames=30)
        assert np.array_equal(ours.codes, theirs.codes)
        assert np.abs(ours.samples - theirs.samples).max() < 1e-3


@native
def test_a_clip_of_the_native_codec_has_the_same_bits_streamed_and_in_a_pool(load):
    engine = load(*FOLDED, "native_layers", "native_codec", "true_streaming")
    for text in TEXTS:
        stream = engine.stream(text, seed=3, max_frames=25)
        chunks = [chunk.audio.samples for chunk in stream]
        assert len(chunks) == stream.speech.frames
        whole = speak(engine, text, max_frames=25)
        assert np.array_equal(np.concatenate(chunks), whole.samples)
    with StreamPool(engine, slots=2) as pool:
        streams = [pool.join(text, seed=3, max_frames=25) for text in TEXTS]
        while pool.busy:
            pool.step()
        assert isinstance(pool._slots._decoder, NativeDecoderStream)
    for text, stream in zip(TEXTS, streams, strict=True):
        alone = speak(engine, text, max_frames=25)
        assert np.array_equal(stream.speech.codes, alone.codes)
        assert np.array_equal(stream.speech.samples, alone.samples)


def test_native_codec_is_for_the_cpu():
    with pytest.raises(InputError, match="this runs on CUDA"):
        resolve(["native_codec"], GPU)


def test_native_layers_are_for_the_cpu_and_need_what_they_read():
    with pytest.raises(InputError, match="this runs on CUDA"):
        resolve([*FOLDED, "native_layers"], GPU)
    with pytest.raises(InputError, match="native_layers needs fused_projections"):
        resolve([*BASE, "native_layers"], Site())
    with pytest.raises(InputError, match="exclude each other"):
        resolve([*FOLDED, "native_layers", "torch_jit"], Site())


@pytest.fixture
def compiled_calls(monkeypatch):
    """Counts runs of compiled code by replacing inductor with a backend that runs the graph."""
    calls = []
    compile_ = torch.compile

    def backend(graph, _):
        def run(*arguments):
            calls.append(1)
            return graph.forward(*arguments)

        return run

    def compiled(function, *, fullgraph, mode):
        assert fullgraph
        return compile_(function, fullgraph=True, backend=backend)

    monkeypatch.setattr(accelerate.torch, "compile", compiled)
    return calls


def graph_count():
    from torch._dynamo.utils import counters

    return counters["stats"]["unique_graphs"]


@pytest.mark.slow
def test_compiled_code_runs_and_no_text_recompiles_it(load, base, reference, compiled_calls):
    engine = load(*BASE, "torch_compile")
    same_codes(engine, base, reference)
    assert isinstance(engine._generator._accelerator, Compiler)
    assert len(compiled_calls) > 4 * 80 * 3
    speak(engine, temperature=0.9)  # draws the depth decoder's codes, too: a way of its own
    graphs_before = graph_count()
    for length in (1, 13, 40, 90):
        a, b = (speak(one, "a" * length, max_frames=100, temperature=0.7) for one in (engine, base))
        assert np.array_equal(a.codes, b.codes)
    assert graph_count() == graphs_before


def test_what_was_compiled_outlives_its_caches(load, compiled_calls):
    engine = load("frame_step", "torch_compile")  # no buffer pool: caches anew each time
    first = speak(engine)
    graphs_before = graph_count()
    assert np.array_equal(speak(engine).codes, first.codes)
    assert graph_count() == graphs_before
    assert np.array_equal(speak(load("frame_step")).codes, first.codes)


@pytest.mark.slow
def test_inductor_keeps_the_codes(load, base):
    engine = load(*BASE, "fused_projections", "folded_depth_embedding", "torch_compile")
    for how in ({"temperature": 0}, {}):
        assert np.array_equal(speak(engine, **how).codes, speak(base, **how).codes)


@pytest.mark.slow
def test_transformers_compiled_keeps_the_codes_and_recompiles_for_no_text(load, tiny_baseline):
    engine = load("torch_compile")
    speak(engine, TEXTS[0], max_frames=5, temperature=0)
    graphs_before = graph_count()
    assert graphs_before
    for text in TEXTS:
        a, b = (speak(one, text, max_frames=30, temperature=0) for one in (engine, tiny_baseline))
        assert np.array_equal(a.codes, b.codes)
    assert graph_count() == graphs_before


def test_static_caches_of_generate_are_used_and_keep_the_codes(load, tiny_baseline, monkeypatch):
    import transformers

    made = []
    static = transformers.StaticCache

    class Spy(static):
        def __init__(self, *arguments, **settings):
            made.append(settings["max_cache_len"])
            super().__init__(*arguments, **settings)

    monkeypatch.setattr(transformers, "StaticCache", Spy)
    monkeypatch.setattr("transformers.generation.utils.StaticCache", Spy)
    engine = load("static_kv_cache")
    for text in TEXTS:
        a, b = (speak(one, text, max_frames=20, temperature=0) for one in (engine, tiny_baseline))
        assert np.array_equal(a.codes, b.codes)
    depth = engine.config.num_codebooks
    assert {length for length in made if length > depth + 1} == {256}  # the backbone's
    assert len(made) > 3 * 20  # and the depth decoder's, one a frame
    made.clear()
    speak(engine.with_implementation("transformers"), max_frames=2)
    assert made
    speak(load(), max_frames=2)


def test_fewer_codebooks_are_written_and_decoded(load, reference):
    full = load(*BASE)
    for value, books in (("", 2), ("=3", 3), ("=4", 4)):
        engine = load(*BASE, "true_streaming", f"fewer_codebooks{value}")
        speech = speak(engine, max_frames=20)
        assert speech.codes.shape[0] == books
        assert speech.samples.shape == (speech.frames * engine.frame_samples,)
        stream = engine.stream("good morning", seed=3, max_frames=20)
        list(stream)
        assert np.array_equal(stream.speech.codes, speech.codes)
        assert np.abs(stream.speech.samples - speech.samples).max() < 1e-5
        heard = engine.synthesize("hi", seed=3, context=[reference], max_frames=5)
        assert heard.codes.shape[0] == books
        assert np.array_equal(speech.codes, speak(full, max_frames=20).codes) == (books == 4)


def test_all_codebooks_written_decide_the_end_where_some_are_left_out(load):
    engine = load(*BASE, "fewer_codebooks=2")
    step = FrameStep(engine._generator.networks, batch_size=3)
    codes = torch.tensor([[0, 0], [0, 3], [3, 0]])
    assert step.ended(codes).tolist() == [True, False, False]
    assert engine._batched._cut(codes.T, 3)[1] == "eos"
    assert engine._batched._cut(codes.T[:, 1:], 2)[1] == "cap"


@pytest.mark.parametrize("value", ["1", "0", "-3", "many", "2.5"])
def test_a_wrong_number_of_codebooks_is_named(value):
    with pytest.raises(InputError, match="at least 2, or 'half'"):
        choose(f"fewer_codebooks={value}")


def test_more_codebooks_than_the_model_has_are_refused(load):
    with pytest.raises(InputError, match="9 codebooks for a model of 4"):
        load("frame_step", "fewer_codebooks=9")


@pytest.mark.parametrize(
    "more",
    [
        ["fused_projections", "folded_depth_embedding"],
        ["torch_jit"],
        ["fewer_codebooks"],
    ],
)
def test_bfloat16_runs_and_rows_keep_to_themselves(load, more):
    engine = load(*BASE, *more, dtype="bfloat16")
    speech = speak(engine, max_frames=20)
    assert speech.frames == 20
    assert np.isfinite(speech.samples).all()
    assert batch(engine, frames=10).shape[:2] == (10, 3)
