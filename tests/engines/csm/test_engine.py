"""The CSM engine behind its protocol: both implementations, streamed and not."""

import numpy as np
import pytest

from tests import tiny
from workbench.audio import Audio
from workbench.engines.speech import Reference
from workbench.errors import InputError

TEXTS = [
    "good morning",
    "how are you today?",
    "it is ten past four.",
    "yes",
    "please call me back later, i am not at home.",
    "where is the station?",
    "a",
    "the quick brown fox jumps over the lazy dog",
    "one two three four five six seven",
    "see you soon!",
    "what's the weather like in the north?",
    "turn left, then right, then left again",
    "thank you very much",
    "no, not today",
    "the train is late",
    "i would like two cups of tea",
    "open the window please",
    "who is there",
    "it rains. it pours.",
    "room 42 is free",
]


@pytest.fixture(scope="module")
def reference():
    generator = np.random.default_rng(0)
    return Reference(Audio(0.1 * generator.standard_normal(20_000), 24_000), "hello there", 1)


def test_greedy_codes_equal_transformers_generate(tiny_engine, tiny_baseline):
    for text in TEXTS:
        ours = tiny_engine.synthesize(text, temperature=0, max_frames=40)
        theirs = tiny_baseline.synthesize(text, temperature=0, max_frames=40)
        assert np.array_equal(ours.codes, theirs.codes), text
        assert ours.ended == theirs.ended
        assert np.array_equal(ours.samples, theirs.samples)


def test_context_equals_transformers(tiny_engine, tiny_baseline, reference):
    ours = tiny_engine.synthesize("hi", context=[reference], temperature=0, max_frames=30)
    theirs = tiny_baseline.synthesize("hi", context=[reference], temperature=0, max_frames=30)
    without = tiny_engine.synthesize("hi", temperature=0, max_frames=30)
    assert np.array_equal(ours.codes, theirs.codes)
    assert not np.array_equal(ours.codes, without.codes)


def test_streamed_equals_offline(tiny_engine):
    """True and pseudo streaming and the offline decode: one sound, and one set of codes."""
    offline = tiny_engine.synthesize("good morning. how are you?", seed=3, max_frames=60)
    for streaming in ("true", "pseudo"):
        stream = tiny_engine.stream(
            "good morning. how are you?", seed=3, max_frames=60, streaming=streaming
        )
        chunks = list(stream)
        speech = stream.speech
        assert np.array_equal(speech.codes, offline.codes)
        assert len(speech) == len(offline) == offline.frames * 1920
        assert np.abs(speech.samples - offline.samples).max() <= 1e-5
        joined = Audio.concatenate([chunk.audio for chunk in chunks])
        assert np.array_equal(joined.samples, speech.samples)
        assert [len(chunk.audio) for chunk in chunks] == list(speech.chunks_samples)
        assert speech.chunks_ms == tuple(chunk.at_ms for chunk in chunks)
        assert list(speech.chunks_ms) == sorted(speech.chunks_ms)


def test_true_streaming_gives_sound_before_the_last_frame_is_made(tiny_engine):
    stream = tiny_engine.stream("good morning", seed=0, max_frames=20)
    next(stream)
    with pytest.raises(InputError, match="isn't finished"):
        stream.speech  # noqa: B018
    rest = list(stream)
    assert len(rest) == stream.speech.frames - 1


def test_pseudo_streaming_has_no_chunk_before_all_codes_are_made(tiny_engine):
    stream = tiny_engine.stream("good morning", seed=0, max_frames=20, streaming="pseudo")
    first = next(stream).at_ms
    list(stream)
    assert first > 0.9 * stream.speech.generation_ms


def test_a_seed_gives_the_same_speech_and_another_seed_another(tiny_engine):
    one, same, other = (
        tiny_engine.synthesize("good morning", seed=seed, max_frames=20) for seed in (1, 1, 2)
    )
    assert np.array_equal(one.codes, same.codes)
    assert not np.array_equal(one.codes, other.codes)
    drawn = tiny_engine.synthesize("good morning", max_frames=20)
    again = tiny_engine.synthesize("good morning", max_frames=20, seed=drawn.seed)
    assert np.array_equal(drawn.codes, again.codes)


@pytest.mark.parametrize("implementation", ["frame", "transformers"])
def test_a_batch_speaks_as_one_by_one(implementation, tiny_engine, tiny_baseline):
    engine = {"frame": tiny_engine, "transformers": tiny_baseline}[implementation]
    texts = TEXTS[:4]
    batch = engine.synthesize_batch(texts, temperature=0, max_frames=25)
    for text, speech in zip(texts, batch, strict=True):
        alone = engine.synthesize(text, temperature=0, max_frames=25)
        assert np.array_equal(speech.codes, alone.codes)
        assert speech.ended == alone.ended
        assert speech.text == text


def test_end_of_audio_ends(tiny_folder):
    import torch

    import workbench

    engine = workbench.load(str(tiny_folder))
    model = engine.csm.model
    with torch.no_grad():
        # Equal logits: greedy decoding takes code 0 everywhere, which is the end-of-audio frame.
        model.lm_head.weight.zero_()
        model.depth_decoder.codebooks_head.weight.zero_()
    speech = engine.synthesize("good morning", temperature=0)
    assert speech.ended == "eos"
    assert speech.frames == 0
    assert len(speech) == 0
    batch = engine.synthesize_batch(["good morning", "hello"], temperature=0)
    assert [one.ended for one in batch] == ["eos", "eos"]


def test_the_frame_limit_is_told(tiny_engine):
    speech = tiny_engine.synthesize("good morning", temperature=0, max_frames=7)
    assert (speech.frames, speech.ended) == (7, "cap")
    assert speech.duration_s == pytest.approx(0.56)


def test_long_texts_are_spoken_in_parts(tiny_folder):
    import workbench

    engine = workbench.load(str(tiny_folder))
    text = "good morning to you all. " * 8
    speech = engine.synthesize(text, temperature=0)
    assert speech.text == text.strip()
    assert speech.frames > engine.config.max_position_embeddings  # more than one part can hold
    limited = engine.synthesize(text, temperature=0, max_frames=150)
    assert limited.frames == 150


def test_stages_add_up(tiny_engine, tiny_baseline):
    for engine in (tiny_engine, tiny_baseline):
        speech = engine.synthesize("good morning", seed=0, max_frames=20, time_stages=True)
        assert set(speech.stages_ms) == {"text", "prefill", "backbone", "depth", "codec", "host"}
        assert sum(speech.stages_ms.values()) == pytest.approx(speech.generation_ms, rel=0.05)
        assert tiny_engine.synthesize("a", seed=0, max_frames=2).stages_ms == {}


def test_encoding_the_context_counts_to_first_audio(tiny_engine, reference):
    for streaming in ("true", "pseudo"):
        stream = tiny_engine.stream(
            "hi",
            context=[reference],
            seed=0,
            max_frames=2,
            time_stages=True,
            streaming=streaming,
        )
        list(stream)
        speech = stream.speech
        assert speech.ttfa_ms > speech.stages_ms["context"] > 0
        assert sum(speech.stages_ms.values()) == pytest.approx(speech.generation_ms, rel=0.05)


def test_the_pause_before_a_stream_is_read_does_not_count(tiny_engine):
    import time

    stream = tiny_engine.stream("hi", seed=0, max_frames=2)
    time.sleep(1.0)
    list(stream)
    assert stream.speech.ttfa_ms < 1000


def test_a_later_part_without_room_is_refused_before_any_sound(tiny_engine):
    with pytest.raises(InputError, match="no room"):
        tiny_engine.stream("hi. " + "a" * 300, seed=0)


def test_timing_leaves_the_model_as_it_was(tiny_baseline):
    model = tiny_baseline.csm.model
    tiny_baseline.synthesize("hi", seed=0, max_frames=3, time_stages=True)
    assert "generate" not in vars(model.depth_decoder)
    assert not model.backbone_model._forward_hooks
    assert not model.backbone_model._forward_pre_hooks


def test_one_request_at_a_time_and_closing_frees_the_engine(tiny_engine):
    stream = tiny_engine.stream("good morning", seed=0, max_frames=20)
    next(stream)
    with pytest.raises(InputError, match="speaking already"):
        tiny_engine.synthesize("hello", max_frames=2)
    stream.close()
    assert tiny_engine.synthesize("hello", seed=0, max_frames=2).frames == 2


def test_threads_are_the_engine_s_while_it_speaks_and_as_before_afterwards(tiny_folder):
    import torch

    import workbench

    engine = workbench.load(str(tiny_folder), threads=2)
    before = torch.get_num_threads()
    assert before == 1
    stream = engine.stream("good morning", seed=0, max_frames=3)
    next(stream)
    assert torch.get_num_threads() == 2
    stream.close()
    assert torch.get_num_threads() == before
    assert workbench.load(str(tiny_folder)).threads == 1


def test_inference_mode_does_not_leak_between_chunks(tiny_engine):
    import torch

    stream = tiny_engine.stream("good morning", seed=0, max_frames=5)
    next(stream)
    assert not torch.is_inference_mode_enabled()
    stream.close()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"text": ""}, "empty"),
        ({"text": "x" * 100_000}, "100,000"),
        ({"text": "a\x00b"}, "U\\+0000"),
        ({"text": "hi", "voice": 77}, "no voice 77"),
        ({"text": "hi", "temperature": -1.0}, "temperature of -1"),
        ({"text": "hi", "max_frames": 0}, "max_frames of 0"),
        ({"text": "hi", "streaming": "fake"}, "'fake'"),
    ],
)
def test_bad_requests_are_refused_and_named(tiny_engine, arguments, named):
    with pytest.raises(InputError, match=named):
        list(tiny_engine.stream(**arguments))


def test_transformers_can_t_stream_and_says_so(tiny_baseline):
    with pytest.raises(InputError, match="only at the end"):
        tiny_baseline.stream("good morning", streaming="true")


def test_a_reference_too_short_or_too_long_is_named(tiny_engine):
    with pytest.raises(InputError, match="shorter than one frame"):
        tiny_engine.synthesize("hi", context=[Reference(Audio(np.ones(100), 24_000), "a")])
    long = Reference(Audio(np.zeros(24_000 * 25), 24_000), "a long silence")
    with pytest.raises(InputError, match="no room"):
        tiny_engine.synthesize("hi", context=[long])


def test_random_weights_say_so_and_stay_quiet(tiny_folder):
    import workbench

    engine = workbench.load(str(tiny_folder), weights="random")
    speech = engine.synthesize("good morning", seed=0, max_frames=30)
    assert speech.weights == "random"
    assert -50 < speech.rms_dbfs < -10
    frames = speech.samples.reshape(-1, 1920)
    assert np.abs(frames[10] - frames[20]).max() > 1e-3  # other codes, another noise


def test_an_empty_batch_is_refused(tiny_engine):
    with pytest.raises(InputError, match="empty list"):
        tiny_engine.synthesize_batch([])


def test_voices_come_from_the_checkpoint(tiny_engine):
    assert tiny_engine.voices[0] == "speaker 0"
    assert tiny_engine.rate_hz == 24_000
    assert tiny_engine.config.num_codebooks == tiny.CODEBOOKS
