"""Streams in a pool: each says what it says alone, whoever else joins and leaves."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

import workbench
from tests.models.test_csm_rows import RehearsedCapture
from workbench.audio import Audio
from workbench.engines.csm.frame_generator import FrameStepGenerator
from workbench.engines.csm.streams import StreamPool
from workbench.engines.speech import Reference
from workbench.errors import InputError
from workbench.models.csm.prefill import buckets_of

FRAME_STEP = ["inference_mode", "frame_step", "buffer_pool", "sync_free_sampling"]
TEXTS = [
    "good morning",
    "a",
    "please call me back later, i am not at home.",
    "yes. no. it rains in the north. " * 4,  # spoken in two parts
    "room 42 is free",
]


@pytest.fixture(scope="module")
def reference():
    generator = np.random.default_rng(0)
    return Reference(Audio(0.1 * generator.standard_normal(20_000), 24_000), "hello there", 1)


def asked(index, chance, reference=None):
    """A request like no other."""
    return {
        "text": TEXTS[index % len(TEXTS)],
        "voice": chance.choice([0, 1]),
        "seed": index,
        "temperature": chance.choice([None, 0, 0.5, 1.3]),
        "max_frames": chance.choice([1, 7, 30, 75]),
        "context": [reference] if reference and chance.random() < 0.2 else [],
    }


def alone(engine, request):
    stream = engine.stream(**request, streaming="true")
    list(stream)
    return stream.speech


def same(pooled, speech):
    assert np.array_equal(pooled.codes, speech.codes), (pooled.text, pooled.seed)
    assert pooled.ended == speech.ended
    assert len(pooled) == len(speech)
    assert np.abs(pooled.samples - speech.samples).max(initial=0) <= 1e-4
    assert (pooled.text, pooled.voice, pooled.seed) == (speech.text, speech.voice, speech.seed)


def drain(pool):
    while pool.busy:
        pool.step()


@pytest.mark.parametrize("seed", range(3))
def test_each_stream_says_what_it_says_alone(tiny_engine, reference, seed):
    """A random schedule: joins, leaves and a queue, with fewer slots than streams."""
    chance = random.Random(seed)
    requests = [asked(index, chance, reference) for index in range(12)]
    streams = []
    with StreamPool(tiny_engine, 3, starts_per_frame=2) as pool:
        while pool.busy or len(streams) < len(requests):
            while len(streams) < len(requests) and chance.random() < 0.1:
                streams.append(pool.join(**requests[len(streams)]))
            for stream, chunk in pool.step():
                assert chunk is stream.chunks[-1]
            if streams and chance.random() < 0.01:
                chance.choice(streams).close()
    finished = [index for index, stream in enumerate(streams) if stream.state == "finished"]
    assert len(finished) > 6
    for index in finished:
        same(streams[index].speech, alone(tiny_engine, requests[index]))


@pytest.mark.parametrize(
    "switches", [["fused_projections", "folded_depth_embedding"], ["torch_jit"]], ids=str
)
def test_other_ways_of_running_say_the_same(tiny_folder, switches):
    engine = workbench.load(str(tiny_folder), optimizations=[*FRAME_STEP, *switches])
    requests = [asked(index, random.Random(index)) for index in range(4)]
    with StreamPool(engine, 3) as pool:
        streams = [pool.join(**request) for request in requests]
        drain(pool)
    for stream, request in zip(streams, requests, strict=True):
        same(stream.speech, alone(engine, request))


def test_captured_work_that_runs_before_changes_nothing(tiny_engine, monkeypatch):
    """What a CUDA capture does first must not be heard: the state it restores is all there is."""
    capture = RehearsedCapture()
    monkeypatch.setattr(FrameStepGenerator, "capture", lambda _: capture)
    requests = [asked(index, random.Random(index)) for index in range(4)]
    with StreamPool(tiny_engine, 2) as pool:
        streams = [pool.join(**request) for request in requests]
        drain(pool)
    assert capture.captured >= 2  # frame and codec
    for stream, request in zip(streams, requests, strict=True):
        same(stream.speech, alone(tiny_engine, request))


def test_prompts_from_buckets_change_nothing(tiny_folder, reference):
    """The padded prefill without its captures, row by row into slots that others speak beside."""
    plain, engine = (workbench.load(str(tiny_folder), optimizations=FRAME_STEP) for _ in range(2))
    networks = engine._generator.networks
    networks.settings = replace(networks.settings, prefill_buckets=True)  # refused on a CPU
    requests = [asked(index, random.Random(index), reference) for index in range(6)]
    with StreamPool(engine, 3) as pool:
        pool.warm_up()
        prefill = buckets_of(pool._slots._rows.step)
        assert prefill.graphs == len(prefill.lengths)
        streams = [pool.join(**request) for request in requests]
        drain(pool)
        assert prefill.graphs == len(prefill.lengths)
    for stream, request in zip(streams, requests, strict=True):
        same(stream.speech, alone(plain, request))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
@pytest.mark.parametrize(
    "more", [[], ["cuda_graphs"], ["cuda_graphs", "prefill_buckets"], ["pinned_memory"]], ids=str
)
def test_on_a_gpu_they_say_the_same(tiny_folder, reference, more):
    engine = workbench.load(str(tiny_folder), device="cuda", optimizations=[*FRAME_STEP, *more])
    requests = [asked(index, random.Random(index), reference) for index in range(8)]
    with StreamPool(engine, 3) as pool:
        streams = [pool.join(**request) for request in requests]
        drain(pool)
    for stream, request in zip(streams, requests, strict=True):
        same(stream.speech, alone(engine, request))


def test_a_slot_used_again_remembers_nothing(tiny_engine, reference):
    before = {"text": TEXTS[2], "seed": 1, "max_frames": 60, "context": [reference]}
    after = {"text": "yes", "seed": 2, "max_frames": 30}
    with StreamPool(tiny_engine, 1) as pool:
        first = pool.join(**before)
        for _ in range(40):
            pool.step()
        first.close()
        second = pool.join(**after)
        drain(pool)
    same(second.speech, alone(tiny_engine, after))


def test_sound_goes_on_through_the_parts_of_a_text(tiny_engine):
    request = {"text": TEXTS[3], "seed": 5, "max_frames": 230}
    with StreamPool(tiny_engine, 2) as pool:
        pool.join("good morning", seed=9, max_frames=100)
        stream = pool.join(**request)
        assert len(stream.request.parts) > 1
        drain(pool)
    same(stream.speech, alone(tiny_engine, request))


def test_the_end_of_audio_of_a_part_is_no_sound(tiny_folder):
    """The codec doesn't hear the end-of-audio frame, and goes on with the next part."""
    engine = workbench.load(str(tiny_folder))
    model = engine.csm.model
    with torch.no_grad():
        # Equal logits: the depth decoder, which is greedy here, says 0 only, and so does the
        # first codebook in one of 16 frames, which ends the audio.
        model.lm_head.weight.zero_()
        model.depth_decoder.codebooks_head.weight.zero_()
    requests = [{"text": TEXTS[3], "seed": seed} for seed in range(4)]
    with StreamPool(engine, 3) as pool:
        streams = [pool.join(**request) for request in requests]
        drain(pool)
    ended = [stream for stream in streams if stream.speech.ended == "eos" and len(stream.speech)]
    assert ended, "no first part ended by itself: choose other seeds"
    for stream, request in zip(streams, requests, strict=True):
        same(stream.speech, alone(engine, request))


def test_an_idle_slot_stays_where_it_is(tiny_engine):
    """While others speak for longer than a slot has positions."""
    request = {"text": "good morning to you all. " * 8, "seed": 0, "max_frames": 300}
    with StreamPool(tiny_engine, 2) as pool:
        pool.join("hi", seed=1, max_frames=5)
        stream = pool.join(**request)
        drain(pool)
    assert stream.speech.frames > tiny_engine.config.max_position_embeddings
    same(stream.speech, alone(tiny_engine, request))


def test_end_of_audio_frees_the_slot(tiny_folder):
    engine = workbench.load(str(tiny_folder))
    model = engine.csm.model
    with torch.no_grad():
        # Equal logits: greedy decoding takes code 0 everywhere, which is the end-of-audio frame.
        model.lm_head.weight.zero_()
        model.depth_decoder.codebooks_head.weight.zero_()
    with StreamPool(engine, 1) as pool:
        streams = [pool.join(text, temperature=0) for text in (TEXTS[0], TEXTS[3])]
        drain(pool)
        assert pool.speaking == 0
    for stream in streams:
        assert stream.speech.ended == "eos"
        assert stream.speech.frames == len(stream.speech) == 0
        assert list(stream) == []


def test_asking_one_stream_for_its_chunks_moves_all(tiny_engine):
    with StreamPool(tiny_engine, 2) as pool:
        one, other = (pool.join("good morning", seed=seed, max_frames=9) for seed in (1, 2))
        assert one.state == "waiting"
        first = next(one)
        assert one.state == other.state == "speaking"
        assert (first.index, len(first.audio)) == (0, 1920)
        with pytest.raises(InputError, match="isn't finished"):
            one.speech  # noqa: B018
        rest = list(one)
        assert len(rest) == one.speech.frames - 1
        assert len(other.chunks) == len(one.chunks)  # made together
        assert [chunk.index for chunk in other] == list(range(9))
        assert other.speech.chunks_ms == tuple(chunk.at_ms for chunk in other.chunks)


def test_those_who_wait_are_served_in_order(tiny_engine):
    with StreamPool(tiny_engine, 1, waiting=2) as pool:
        streams = [pool.join("hi", seed=seed, max_frames=3) for seed in range(3)]
        assert (pool.slots, pool.speaking, pool.waiting) == (1, 0, 3)
        pool.step()
        assert [stream.state for stream in streams] == ["speaking", "waiting", "waiting"]
        streams[1].close()
        drain(pool)
        assert [stream.state for stream in streams] == ["finished", "left", "finished"]
        assert streams[2].speech.ttfa_ms > streams[0].speech.ttfa_ms
        with pytest.raises(InputError, match="was left"):
            streams[1].speech  # noqa: B018
        assert list(streams[1]) == []


def test_a_full_queue_is_refused(tiny_engine):
    with StreamPool(tiny_engine, 2, waiting=0) as pool:
        first = pool.join("hi", seed=0, max_frames=2)
        pool.step()
        pool.join("hi", seed=0, max_frames=2)
        with pytest.raises(InputError, match="no free slot: 1 of 2 speak, 1 wait"):
            pool.join("hi")
        first.close()
        pool.join("hi", seed=0, max_frames=2)


def test_an_empty_pool_has_nothing_to_do(tiny_engine):
    with StreamPool(tiny_engine, 2) as pool:
        assert not pool.busy
        assert pool.step() == []
        assert pool.warm_up() > 0
        assert not pool.busy


def test_a_pool_has_the_engine_for_itself_until_it_is_closed(tiny_engine):
    stream = tiny_engine.stream("good morning", seed=0, max_frames=20)
    next(stream)
    with pytest.raises(InputError, match="speaking already"):
        StreamPool(tiny_engine, 1)
    stream.close()
    pool = StreamPool(tiny_engine, 1)
    with pytest.raises(InputError, match="speaking already"):
        tiny_engine.synthesize("hi", max_frames=2)
    waiting = pool.join("hi", max_frames=2)
    pool.close()
    pool.close()
    assert waiting.state == "left"
    assert tiny_engine.synthesize("hi", seed=0, max_frames=2).frames == 2
    for call in (pool.step, lambda: pool.join("hi")):
        with pytest.raises(InputError, match="closed"):
            call()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"slots": 0}, "0 slots"),
        ({"slots": 10**9}, "GiB are free"),
        ({"slots": 1, "positions": 1}, "1 positions"),
        ({"slots": 1, "positions": 10**6}, "1000000 positions"),
        ({"slots": 1, "waiting": -1}, "queue of -1"),
        ({"slots": 1, "starts_per_frame": 0}, "0 starts"),
    ],
)
def test_bad_pools_are_refused_and_leave_the_engine_free(tiny_engine, settings, named):
    with pytest.raises(InputError, match=named):
        StreamPool(tiny_engine, **settings)
    StreamPool(tiny_engine, 1).close()


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ({"text": ""}, "empty"),
        ({"text": "hi", "voice": 77}, "no voice 77"),
        ({"text": "hi", "max_frames": 0}, "max_frames of 0"),
        ({"text": "a" * 60}, "a slot has 40"),
    ],
)
def test_bad_requests_are_refused_and_change_nothing(tiny_engine, request_, named):
    with StreamPool(tiny_engine, 1, positions=40) as pool:
        with pytest.raises(InputError, match=named):
            pool.join(**request_)
        assert not pool.busy


def test_fewer_positions_are_less_room_to_speak_in(tiny_engine):
    with StreamPool(tiny_engine, 1, positions=40) as pool:
        stream = pool.join("hi", seed=3, temperature=1.3)
        drain(pool)
    taken = len(stream.request.parts[0].ids)
    assert stream.speech.ended == "cap"
    assert stream.speech.frames == 40 - taken


def test_engines_that_can_t_say_why(tiny_baseline, tiny_folder):
    with pytest.raises(InputError, match="'transformers' can't speak several"):
        StreamPool(tiny_baseline, 2)
    engine = workbench.load(str(tiny_folder), optimizations=["frame_step"])
    with pytest.raises(InputError, match="sync_free_sampling"):
        StreamPool(engine, 2)
    assert engine.synthesize("hi", seed=0, max_frames=2).frames == 2


def test_random_weights_never_loop(tiny_folder):
    engine = workbench.load(str(tiny_folder), weights="random")
    with StreamPool(engine, 1) as pool:
        stream = pool.join("good morning", temperature=0, max_frames=60)
        drain(pool)
    assert stream.speech.ended == "cap"
    assert stream.speech.weights == "random"
