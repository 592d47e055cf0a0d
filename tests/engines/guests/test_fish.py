"""Fish-Speech: settings, files and prompts; with the package its networks at a small size."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import workbench
from workbench.audio import Audio
from workbench.engines.guests import installed, status
from workbench.engines.guests.f5_parts import made_up
from workbench.engines.guests.fish import Settings
from workbench.engines.guests.fish_caches import Caches
from workbench.engines.guests.fish_codec import FRAME, FRAME_HZ, RATE_HZ
from workbench.engines.guests.fish_files import FILES, configuration, found, put, weights
from workbench.engines.guests.fish_tokens import Said, checked, fitting, usual_frames
from workbench.engines.guests.hosted import Wanted
from workbench.engines.speech import Reference
from workbench.errors import InputError, ModelError
from workbench.worker import Worker

here = pytest.mark.skipif(
    not installed("fish"), reason="fish isn't installed: workbench engines install fish"
)
SMALL = {"weights": "random", "size": "small", "threads": 1}
SHORT = {"max_frames": 12}
TEXT = "Good morning. How are you today?"


# -- Settings and references -------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        {"temperature": 2},
        {"temperature": -0.1},
        {"top_p": 0},
        {"repetition_penalty": 2},
        {"chunk_length": 3},
        {"max_new_tokens": 0},
        {"max_seq_len": 8},
    ],
)
def test_settings_out_of_range(given):
    with pytest.raises(InputError, match=f"{next(iter(given))}="):
        Settings(**given)


def test_a_reference_needs_its_words_and_a_length():
    with pytest.raises(InputError, match="without its words"):
        Settings(reference="a.wav")
    hum = made_up(RATE_HZ)
    assert checked(hum) is hum
    with pytest.raises(InputError, match="without its words"):
        checked(Reference(hum.audio, " … "))
    with pytest.raises(InputError, match=r"a reference of 0.1 s"):
        checked(Reference(Audio(hum.audio.samples[:4_410], RATE_HZ), "a hum"))
    with pytest.raises(InputError, match=r"a reference of 40.0 s"):
        checked(Reference(Audio(np.zeros(40 * RATE_HZ, np.float32), RATE_HZ), "silence"))


# -- Prompts -----------------------------------------------------------------------------------


def test_a_text_s_frames_follow_the_pace_of_speech():
    assert usual_frames("a" * 150) == pytest.approx(10 * FRAME_HZ, abs=1)
    assert usual_frames("a") == usual_frames("") == 6


def test_of_what_was_spoken_the_last_parts_stay_where_all_do_not_fit():
    def ask(before):
        asked.append([one.text for one in before])
        return torch.zeros(11, 10 * (1 + len(before)))

    said = [Said(name, torch.zeros(10, 3)) for name in "abc"]
    asked: list = []
    assert fitting(ask, said[:1], said[1:], 5, 100).shape[1] == 40
    assert asked == [["a", "b", "c"]]
    asked.clear()
    assert fitting(ask, said[:1], said[1:], 5, 36).shape[1] == 30
    assert asked == [["a", "b", "c"], ["a", "c"]]
    with pytest.raises(InputError, match="take 20 of 24 positions, and 5 are wanted"):
        fitting(ask, said[:1], said[1:], 5, 24)


def test_a_step_sees_a_power_of_two_of_the_caches():
    caches = [SimpleNamespace(k_cache=torch.zeros(1, 2, 1_000, 4)) for _ in range(3)]
    for cache in caches:
        cache.v_cache = torch.zeros(1, 2, 1_000, 4)
    whole = caches[0].k_cache
    layers = [SimpleNamespace(attention=SimpleNamespace(kv_cache=one)) for one in caches]

    def setup_caches(rows, positions, dtype):
        model.max_seq_len = positions

    model = SimpleNamespace(layers=layers, setup_caches=setup_caches)
    made = Caches(model, 1_000, torch.float32)
    seen = []
    for positions in (1, 256, 257, 600, 1_000):
        made.show(positions)
        seen.append(caches[2].v_cache.shape[2])
        assert model.max_seq_len == seen[-1]
    assert seen == [256, 256, 512, 1_000, 1_000]
    made.show(5)
    caches[0].k_cache[:, :, 4] = 1  # a step writes: it stays where it is when more is shown
    made.show(1_000)
    assert whole[:, :, 4].all()
    assert caches[0].k_cache.data_ptr() == whole.data_ptr()


# -- Files -------------------------------------------------------------------------------------


def wanted(checkpoint):
    return Wanted(str(checkpoint), None, False, "full", "cpu", None, None, None, {})


@pytest.mark.parametrize("missing", FILES)
def test_the_file_that_is_missing_is_named_with_the_command(tmp_path, missing):
    for name in FILES:
        if name != missing:
            (tmp_path / name).write_bytes(b"")
    with pytest.raises(ModelError, match=rf"{missing} is missing in .*\n.*hf download fishaudio"):
        found(wanted(tmp_path))
    (tmp_path / missing).write_bytes(b"")
    assert found(wanted(tmp_path)) == (tmp_path, f"folder {tmp_path.name}")


def test_a_folder_that_is_not_there():
    with pytest.raises(InputError, match="no folder ./no/such/folder"):
        found(wanted("./no/such/folder"))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "can't be read"),
        ("[]", "can't be read"),
        ('{"dim": 8}', "can't be read"),
        ('{"model_type": "fish_qwen3_omni"}', "is of the architecture 'fish_qwen3_omni'"),
    ],
)
def test_configurations_of_another_kind(tmp_path, content, named):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError, match=named):
        configuration(tmp_path)


def test_weights_come_without_what_trainers_put_around_them(tmp_path):
    path = tmp_path / "model.pth"
    one, two = torch.ones(2), torch.zeros(3)
    for stored in (
        {"a": one, "b": two},
        {"state_dict": {"model.a": one, "model.b": two}},
        {"generator.a": one, "generator.b": two, "discriminator.c": one},
    ):
        torch.save(stored, path)
        assert {name: len(tensor) for name, tensor in weights(path).items()} == {"a": 2, "b": 3}


def test_weights_that_are_torn_or_run_code(tmp_path):
    path = tmp_path / "codec.pth"
    torch.save({"a": torch.ones(2)}, path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ModelError, match=r"codec.pth can't be read.*\n.*download it again"):
        weights(path)
    torch.save({"a": Settings()}, path)
    with pytest.raises(ModelError, match="can't be read"):
        weights(path)


def test_a_parameter_that_is_missing_or_of_another_shape(tmp_path):
    network, path = torch.nn.Linear(2, 3), tmp_path / "model.pth"
    state = {"weight": torch.ones(3, 2), "bias": torch.ones(3), "more": torch.ones(1)}
    put(network, state, path)
    assert torch.equal(network.weight, torch.ones(3, 2))
    with pytest.raises(ModelError, match=r"has no bias \(1 parameters are missing\)"):
        put(network, {"weight": torch.ones(3, 2)}, path)
    with pytest.raises(ModelError, match="of another architecture .*size mismatch for bias"):
        put(network, {**state, "bias": torch.ones(4)}, path)


# -- The engine --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine():
    with workbench.load("fish", **SMALL, chunk_length=20) as made:
        yield made


@here
def test_it_speaks_in_parts_and_repeats_itself(engine):
    stream = engine.stream(TEXT, seed=3, time_stages=True)
    chunks = list(stream)
    assert [len(chunk.audio) % FRAME for chunk in chunks] == [0, 0]
    assert {"tokens", "codec"} <= set(stream.speech.stages_ms)
    whole = engine.synthesize(TEXT, seed=3)
    assert np.array_equal(whole.samples, stream.speech.samples)
    assert np.isfinite(whole.samples).all()
    assert whole.samples.std() > 0
    assert (whole.rate_hz, whole.weights) == (RATE_HZ, "random")
    assert not np.array_equal(engine.synthesize(TEXT, seed=4).samples, whole.samples)


@here
def test_a_limit_cuts_the_sound(engine):
    speech = engine.synthesize(TEXT, seed=3, time_stages=True, **SHORT)
    assert len(speech) == round(12 * 0.08 * RATE_HZ)
    assert {"tokens", "codec"} <= set(speech.stages_ms)
    assert speech.ended == "cap"
    whole = engine.synthesize(TEXT, seed=3)
    assert np.array_equal(speech.samples[:FRAME], whole.samples[:FRAME])


@here
def test_without_a_temperature_every_seed_says_the_same(engine):
    first, second = (
        engine.synthesize("hello", seed=seed, temperature=0, **SHORT).samples for seed in (0, 1)
    )
    assert np.array_equal(first, second)
    with pytest.raises(InputError, match="temperature=3"):
        engine.synthesize("hello", temperature=3)


@here
def test_references_change_the_voice(engine):
    hum = made_up(RATE_HZ)
    lower = Reference(Audio(hum.audio.samples.repeat(2), RATE_HZ), hum.text)
    said = [
        engine.synthesize("hello", seed=0, context=context, **SHORT).samples
        for context in ([], [hum], [lower], [hum, lower], [hum])
    ]
    for index, one in enumerate(said[:4]):
        assert not any(np.array_equal(one, other) for other in said[:index])
    assert np.array_equal(said[1], said[4])
    short = Reference(Audio(hum.audio.samples[:4_410], RATE_HZ), hum.text)
    with pytest.raises(InputError, match=r"a reference of 0.1 s"):
        engine.synthesize("hello", context=[short])


@here
def test_parts_are_spoken_after_those_before():
    with workbench.load("fish", **SMALL, chunk_length=20, iterative_prompt=False) as alone:
        single = list(alone.stream(TEXT, seed=3))
        with workbench.load("fish", **SMALL, chunk_length=20) as after:
            joined = list(after.stream(TEXT, seed=3))
    assert np.array_equal(single[0].audio.samples, joined[0].audio.samples)
    assert not np.array_equal(single[1].audio.samples, joined[1].audio.samples)


@here
def test_a_context_that_is_too_short_is_told():
    with workbench.load("fish", **SMALL, max_seq_len=256) as engine:
        assert engine.options.settings["max_seq_len"] == 256
        assert len(engine.synthesize("hello", seed=0))
        long = Reference(Audio(np.zeros(12 * RATE_HZ, np.float32), RATE_HZ), "a hum")
        with pytest.raises(InputError, match="of 256 positions"):
            engine.synthesize("hello", context=[long])


@here
def test_positions_that_hold_nothing_change_no_code():
    with Worker("tests.engines.guests.fish_writer:Writer", python=status("fish").python) as worker:
        few, all_of_them = (worker.call("frames", least) for least in (64, 1_024))
    assert few.shape[1] == 150  # past the first 256 positions
    assert np.array_equal(few, all_of_them)


@here
def test_types_and_switches(engine):
    said = engine.synthesize("hello", seed=0, **SHORT)
    with workbench.load("fish", **SMALL, optimizations=["hybrid_precision", "warmup"]) as half:
        assert half.dtype == "bfloat16"
        assert len(half.synthesize("hello", seed=0, **SHORT)) == len(said)
    for name in ("frame_step", "autocast"):
        with pytest.raises(InputError, match=f"no use for the optimization '{name}'"):
            workbench.load("fish", **SMALL, optimizations=[name])


@pytest.fixture
def checkpoint(tmp_path):
    """A folder in a checkpoint's format, as the package writes it; its networks are small."""
    with Worker("tests.engines.guests.fish_writer:Writer", python=status("fish").python) as worker:
        worker.call("write", str(tmp_path))
    return tmp_path


def edited(path, change):
    """Changes the JSON in ``path``."""
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))


@here
def test_a_folder_in_a_checkpoint_s_format(engine, checkpoint):
    def load():
        return workbench.load(f"fish:{checkpoint}", size="small", threads=1)

    edited(checkpoint / "config.json", lambda told: told.update(a_field_of_tomorrow=1))
    with load() as loaded:
        assert loaded.weights == f"folder {checkpoint.name}"
        assert "doesn't know it" in loaded.left_out["a_field_of_tomorrow"]
        # Its weights are those that the random engine has drawn.
        mine, other = (one.synthesize("hello", seed=0, max_frames=3) for one in (loaded, engine))
        assert np.array_equal(mine.samples, other.samples)

    edited(checkpoint / "config.json", lambda told: told.update(vocab_size=4_000))
    with pytest.raises(ModelError, match="tokens up to 4366, and a vocabulary of 4000"):
        load()
    edited(checkpoint / "config.json", lambda told: told.update(vocab_size=4_367, dim=128))
    with pytest.raises(ModelError, match=r"model.pth is of another architecture"):
        load()


@here
def test_a_checkpoint_with_a_hole(checkpoint):
    state = torch.load(checkpoint / "codec.pth", weights_only=True)
    del state["decoder.model.0.conv.bias"]
    torch.save(state, checkpoint / "codec.pth")
    with pytest.raises(ModelError, match=r"codec.pth has no decoder.model.0.conv.bias"):
        workbench.load(f"fish:{checkpoint}", size="small", threads=1)
    (checkpoint / "tokenizer.tiktoken").write_text("no ranks at all")
    with pytest.raises(ModelError, match="download tokenizer.tiktoken and special_tokens.json"):
        workbench.load(f"fish:{checkpoint}", size="small", threads=1)
