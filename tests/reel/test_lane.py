"""A lane: batches of one voice and similar length, pools that say what each says alone."""

import numpy as np
import pytest

import workbench
from tests.reel.voices import Tones
from workbench.audio import Audio
from workbench.engines.speech import Reference
from workbench.errors import InputError
from workbench.reel.jobs import Job
from workbench.reel.lane import ATTEMPTS, Lane, automatic_batch, batch_for, hosted
from workbench.reel.lanes import WorkerLanes, shared_out, worker_count
from workbench.worker import WorkerDied

PROMPT = Reference(Audio(0.1 * np.ones(24_000), 24_000), "hello", 0)


def jobs(*texts, voices=(0, 1), context=()):
    return [
        Job(f"key {n}", text, voices[n % len(voices)], seed=n, context=context)
        for n, text in enumerate(texts)
    ]


def spoken(lane, given):
    return {take.key: take for take in lane.speak(given)}


def test_batches_have_one_voice_and_similar_lengths():
    engine = Tones(batching=True)
    texts = ["a" * length for length in (3, 4, 40, 44, 5, 42)]
    lane = Lane(engine, 2)
    assert lane.way == "batches"
    takes = spoken(lane, jobs(*texts))
    assert sorted(takes) == [f"key {n}" for n in range(6)]
    assert all(takes[job.key].speech.text == job.text for job in jobs(*texts))
    for together, voice in engine.batches:
        assert len(together) <= 2
        assert max(map(len, together)) - min(map(len, together)) <= 12
        assert all(
            one.speech.voice == voice for one in takes.values() if one.speech.text in together
        )


@pytest.mark.parametrize("engine", [Tones(), Tones(batching=True)], ids=["plain", "batching"])
def test_references_are_spoken_one_by_one(engine):
    takes = spoken(Lane(engine, 4), jobs("one", "two", context=(PROMPT,)))
    assert engine.batches == []
    assert [asked[3] for asked in engine.asked] == [(PROMPT,)] * 2
    assert len(takes) == 2


@pytest.mark.parametrize("how", ["silent", "loop"])
def test_a_spoiled_take_is_said_once_more_with_the_next_seed(how):
    engine = Tones(ends=[how])
    (take,) = Lane(engine, 1).speak(jobs("one"))
    assert [asked[2] for asked in engine.asked] == [0, 1]
    assert (take.attempt, take.speech.seed, take.speech.ended) == (2, 1, "eos")
    stubborn = Tones(ends=[how] * 9)
    (last,) = Lane(stubborn, 1).speak(jobs("one"))
    assert len(stubborn.asked) == ATTEMPTS == last.attempt


def test_a_take_that_was_cut_stands_and_noise_is_never_said_again():
    cut = Tones(ends=["cap"])
    assert [take.attempt for take in Lane(cut, 1).speak(jobs("one"))] == [1]
    noise = Tones(ends=["silent"])
    noise.weights = "random"
    assert [take.attempt for take in Lane(noise, 1).speak(jobs("one"))] == [1]


def test_the_pool_says_what_each_says_alone(tiny_engine):
    given = jobs("good morning", "yes", "room 42 is free", "hi")
    together, alone = Lane(tiny_engine, 3), Lane(tiny_engine, 1)
    assert (together.way, alone.way) == ("stream pool", "one by one")
    one, other = spoken(together, given), spoken(alone, given)
    assert set(one) == {job.key for job in given}
    for key, take in one.items():
        assert np.array_equal(take.speech.codes, other[key].speech.codes)
        assert np.abs(take.speech.samples - other[key].speech.samples).max() <= 1e-4
        assert take.attempt == other[key].attempt


def test_transformers_has_no_pool(tiny_baseline, tiny_folder):
    lane = Lane(tiny_baseline, 4)
    assert lane.way == "batches"
    takes = spoken(lane, jobs("hi", "yes", "a"))
    assert {key: take.speech.text for key, take in takes.items()} == {
        "key 0": "hi", "key 1": "yes", "key 2": "a",
    }  # fmt: skip
    assert Lane(workbench.load(str(tiny_folder), optimizations=[]), 4).way == "one by one"


def test_identity_is_what_is_heard(tiny_folder, tiny_engine):
    other = workbench.load(str(tiny_folder), optimizations=[])
    switches = ["inference_mode", "frame_step", "buffer_pool", "sync_free_sampling"]
    same = workbench.load(str(tiny_folder), optimizations=[*switches, "batching", "batched_text"])
    default = Lane(tiny_engine, 1).identity()
    assert Lane(same, 5).identity() == default
    assert Lane(other, 1).identity() != default
    assert default["switches"] == ["sync_free_sampling"]


def test_the_batch_size_follows_memory():
    assert [batch_for(gib * 2**30) for gib in (4, 8, 16, 48, 80)] == [1, 2, 5, 16, 16]
    assert automatic_batch(Tones()) == 1
    native = Tones()
    native.options.native_layers, native.largest_batch = True, lambda: 16
    assert automatic_batch(native) == 1
    native.options.native_layers = False
    assert automatic_batch(native) == 16
    with pytest.raises(InputError, match="-1"):
        Lane(Tones(), -1)


def test_jobs_are_shared_out_by_length():
    given = jobs(*["a" * length for length in (90, 10, 50, 30, 40, 5)])
    shares = shared_out(given, 2)
    assert sorted(job.key for share in shares for job in share) == [job.key for job in given]
    letters = [sum(len(job.text) for job in share) for share in shares]
    assert sorted(letters) == [105, 120]


@pytest.mark.parametrize(
    ("parallel", "workers", "count"),
    [(None, None, 1), (False, 4, 1), (None, 3, 3), (True, 2, 2)],
)
def test_processes_are_asked_for(parallel, workers, count):
    assert worker_count(parallel, workers, cuda=False) == count
    assert worker_count(True, None, cuda=True) == 4


def test_processes_say_what_one_says():
    given = jobs("good morning", "yes", "room 42 is free", "hi")
    with WorkerLanes("tones", {}, 2, 1, target="tests.reel.voices:hosted_tones") as lanes:
        lanes.warm_up()
        assert lanes.about()["name"] == "tones"
        parallel = {take.key: take for take in lanes.speak(given)}
    alone = spoken(Lane(Tones(), 1), given)
    assert set(parallel) == set(alone)
    for key, take in parallel.items():
        assert np.array_equal(take.speech.samples, alone[key].speech.samples)


def test_an_error_of_one_process_ends_all():
    settings = {"fail_at": 1}
    with WorkerLanes("tones", settings, 2, 1, target="tests.reel.voices:hosted_tones") as lanes:
        with pytest.raises(RuntimeError, match="out of tones"):
            list(lanes.speak(jobs("a", "b", "c", "d")))
        with pytest.raises(WorkerDied):
            lanes.about()


def test_a_hosted_lane_loads_its_engine(tiny_folder, tiny_engine):
    lane = hosted(str(tiny_folder), 3, {"device": "cpu"})
    assert lane.batch_size == 3
    assert lane.identity() == Lane(tiny_engine, 1).identity()
