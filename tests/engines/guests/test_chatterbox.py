"""Chatterbox: its settings; with the package its networks at a small size."""

import numpy as np
import pytest

import workbench
from workbench.audio import Audio
from workbench.engines.guests import installed
from workbench.engines.guests.chatterbox import Settings
from workbench.engines.guests.f5_parts import made_up
from workbench.engines.guests.hosted import Wanted
from workbench.engines.speech import Reference
from workbench.errors import InputError, ModelError

here = pytest.mark.skipif(
    not installed("chatterbox"),
    reason="chatterbox isn't installed: workbench engines install chatterbox",
)
SMALL = {"weights": "random", "size": "small", "threads": 1, "cfm_steps": 1, "watermark": False}


@pytest.mark.parametrize(
    "given", [{"exaggeration": 3}, {"cfg": 0}, {"chars_per_part": 3}, {"cfm_steps": 0}]
)
def test_settings_out_of_range(given):
    with pytest.raises(InputError, match=f"{next(iter(given))}="):
        Settings(**given)


@pytest.fixture(scope="module")
def engine():
    with workbench.load("chatterbox", **SMALL, chars_per_part=20) as made:
        yield made


@here
def test_it_speaks_in_parts_and_repeats_itself(engine):
    text = "Good morning. How are you today?"
    stream = engine.stream(text, seed=3, time_stages=True, max_frames=12)
    chunks = list(stream)
    assert len(chunks) == 2
    whole = engine.synthesize(text, seed=3, max_frames=12)
    assert np.array_equal(whole.samples, stream.speech.samples)
    assert {"t3", "s3gen"} <= set(stream.speech.stages_ms)
    assert whole.rate_hz == 24_000
    assert whole.ended == "cap"  # random weights find no end
    assert not np.array_equal(engine.synthesize(text, seed=4, max_frames=12).samples, whole.samples)


@here
def test_a_prompt_changes_the_voice(engine):
    hum = made_up(24_000)
    higher = Reference(Audio(hum.audio.samples[::2].repeat(1), 24_000), hum.text)
    own = engine.synthesize("hello", seed=0, max_frames=6)
    other = engine.synthesize("hello", seed=0, max_frames=6, context=[higher])
    assert not np.array_equal(own.samples, other.samples)
    short = Reference(Audio(hum.audio.samples[:2_400], 24_000), hum.text)
    with pytest.raises(InputError, match=r"a prompt of 0.1 s"):
        engine.synthesize("hello", context=[short])


def wanted(checkpoint, **changes):
    settings = {"optimizations": None, "dtype": None, **changes}
    return Wanted(
        str(checkpoint), None, False, "full", "cpu", settings["dtype"], None,
        settings["optimizations"], {},
    )  # fmt: skip


def test_folders_that_hold_no_chatterbox(tmp_path):
    from workbench.engines.guests.chatterbox_model import load_chatterbox

    with pytest.raises(ModelError, match=r"ve.safetensors is missing"):
        load_chatterbox(wanted(tmp_path), "cpu")
    with pytest.raises(InputError, match="no folder"):
        load_chatterbox(wanted("./no/such/folder"), "cpu")


def test_types_and_switches_of_guests_on_pytorch():
    from workbench.engines.guests.torch_guest import running

    def run(**changes):
        return running("chatterbox", wanted("a", **changes))

    plain = run()
    assert (plain.options.dtype, plain.optimizations) == ("float32", ("inference_mode",))
    assert run(dtype="bfloat16").options.dtype == "bfloat16"
    half = run(optimizations=["hybrid_precision"])
    assert (half.options.dtype, half.options.codec_dtype) == ("bfloat16", "float32")
    assert run(optimizations=["autocast"]).options.autocast_dtype == "bfloat16"
    some = run(optimizations="conversation")
    assert some.left_out["frame_step"] == "chatterbox has no use for it"
    assert "warmup" in some.optimizations
    for given, named in (
        ({"optimizations": ["cuda_graphs"]}, "no use for the optimization 'cuda_graphs'"),
        ({"optimizations": ["bf16"], "dtype": "float32"}, "sets the type"),
        ({"optimizations": "fastest"}, "no preset called 'fastest'"),
        ({"dtype": "int4"}, "no dtype called 'int4'"),
    ):
        with pytest.raises(InputError, match=named):
            run(**given)
