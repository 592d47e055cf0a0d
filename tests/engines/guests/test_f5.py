"""F5-TTS: parts, joints and steps; with the package its networks at a small size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench
from workbench.audio import Audio
from workbench.engines.guests import installed
from workbench.engines.guests.f5 import Settings
from workbench.engines.guests.f5_parts import (
    chars_per_part,
    ended,
    frames,
    joined,
    made_up,
    prepared,
)
from workbench.engines.guests.f5_schedule import PRUNED, timesteps
from workbench.engines.guests.hosted import Wanted
from workbench.engines.speech import Reference
from workbench.errors import InputError, ModelError

here = pytest.mark.skipif(
    not installed("f5"), reason="f5 isn't installed: workbench engines install f5"
)
SMALL = {"weights": "random", "size": "small", "threads": 1}


@pytest.mark.parametrize(
    "given",
    [
        {"nfe_step": 0},
        {"cfg_strength": -1},
        {"sway": 3},
        {"ode_method": "dopri5"},
        {"speed": 0},
        {"language": "fr"},
    ],
)
def test_settings_out_of_range(given):
    with pytest.raises(InputError, match=f"{next(iter(given))}="):
        Settings(**given)


def test_a_reference_needs_its_words():
    with pytest.raises(InputError, match="without its words"):
        Settings(reference="a.wav")


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(0, 20))
def test_parts_pass_into_each_other_over_the_fade(lengths, fade):
    tail, made = np.zeros(0, np.float32), []
    for length in lengths:
        piece, tail = joined(tail, np.ones(length, np.float32), fade)
        made.append(piece)
    whole = np.concatenate([*made, tail])
    assert np.allclose(whole, 1)  # what goes down and what comes up make one
    if min(lengths) >= fade:
        assert len(whole) == sum(lengths) - fade * (len(lengths) - 1)


def test_a_fade_goes_from_one_part_to_the_next():
    first, tail = joined(np.zeros(0, np.float32), np.zeros(10, np.float32), 5)
    second, rest = joined(tail, np.ones(10, np.float32), 5)
    assert len(first) == len(tail) == len(rest) == 5
    assert np.allclose(second, [0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1][: len(second)])


def test_lengths_follow_the_reference_s_pace():
    assert frames("hola amigo mío", "hola amigo mío", 100, 1.0) == 100
    assert frames("hola amigo mío", "hola amigo mío", 100, 2.0) == 50
    assert frames("hola", "hola amigo mío", 100, 1.0) == int(100 / 15 * 4 / 0.3)  # 15 bytes
    assert chars_per_part("a" * 100, 10.0, 1.0) == 120
    assert (ended("hola"), ended("¿hola?"), ended("hola. ")) == ("hola. ", "¿hola? ", "hola. ")


def test_references_are_raised_to_a_level_and_checked():
    quiet = Reference(Audio(np.full(24_000, 0.01, np.float32), 24_000), "uno")
    samples, gain = prepared(quiet, 24_000)
    assert samples.std() + samples.mean() == pytest.approx(0.1, rel=1e-3)
    assert gain == pytest.approx(0.1, rel=1e-3)
    loud = Reference(Audio(np.full(16_000, 0.5, np.float32), 16_000), "uno")
    assert prepared(loud, 24_000)[1] == 1.0
    for seconds, level, text, named in (
        (13, 0.1, "uno", "13.0 s"),
        (0.1, 0.1, "uno", "0.1 s"),
        (2, 0.0, "uno", "silent"),
        (2, 0.1, "…", "without its words"),
    ):
        sound = Audio(np.full(int(24_000 * seconds), level, np.float32), 24_000)
        with pytest.raises(InputError, match=named):
            prepared(Reference(sound, text), 24_000)


@pytest.mark.parametrize("steps", [*PRUNED, 3, 32])
@pytest.mark.parametrize("sway", [None, -1.0, 0.5])
def test_steps_go_from_noise_to_speech(steps, sway):
    times = timesteps(steps, sway=sway)
    assert len(times) == steps + 1
    assert (times[0], times[-1]) == (0, pytest.approx(1))
    assert (np.diff(times) > 0).all()
    early = np.count_nonzero(times < 0.5)
    assert sway is None or sway > 0 or early >= np.count_nonzero(timesteps(steps, sway=None) < 0.5)


@pytest.fixture(scope="module")
def engine():
    with workbench.load("f5", **SMALL, nfe_step=4, language="es") as made:
        yield made


@here
def test_it_speaks_in_parts_and_repeats_itself(engine):
    text = "El tren de las 7:45 sale ahora. " * 6
    stream = engine.stream(text, seed=3, time_stages=True)
    chunks = list(stream)
    assert len(chunks) > 1
    whole = engine.synthesize(text, seed=3)
    assert np.array_equal(whole.samples, stream.speech.samples)
    assert set(stream.speech.stages_ms) == {"text", "flow", "vocoder"}
    assert whole.rate_hz == 24_000
    assert whole.samples.std() > 0
    assert not np.array_equal(engine.synthesize(text, seed=4).samples, whole.samples)


@here
def test_steps_guidance_and_reference_matter(engine):
    own = made_up(24_000)
    slower = Audio(own.audio.samples.repeat(2), 24_000)
    said = engine.synthesize("buenos días", seed=0)
    other = engine.synthesize("buenos días", seed=0, context=[Reference(slower, own.text)])
    assert len(other) > 1.5 * len(said)  # at the reference's pace
    with workbench.load("f5", **SMALL, nfe_step=2, cfg_strength=0, ode_method="midpoint") as few:
        assert len(few.synthesize("buenos días", seed=0)) == len(said)
        assert not np.array_equal(few.synthesize("buenos días", seed=0).samples, said.samples)
    with pytest.raises(InputError, match="has no temperature"):
        engine.synthesize("hola", temperature=0.5)


@here
def test_types_and_switches(engine):
    said = engine.synthesize("buenos días", seed=0)
    with workbench.load("f5", **SMALL, nfe_step=4, language="es", use_fp16=True) as half:
        assert half.dtype in ("bfloat16", "float16")
        assert half.optimizations == ("inference_mode", "hybrid_precision")
        spoken = half.synthesize("buenos días", seed=0)
        assert len(spoken) == len(said)
    with pytest.raises(InputError, match="no use for the optimization 'frame_step'"):
        workbench.load("f5", **SMALL, optimizations=["frame_step"])
    with pytest.raises(InputError, match="use_fp16 beside"):
        workbench.load("f5", **SMALL, use_fp16=True, dtype="float32")


def test_checkpoints_that_are_no_model_of_f5(tmp_path):
    from safetensors.numpy import save_file

    from workbench.engines.guests.f5_model import load_f5

    def load(checkpoint, architecture="auto"):
        wanted = Wanted(str(checkpoint), None, False, "full", None, None, None, None, {})
        load_f5(wanted, architecture, "no/vocoder", "euler")

    with pytest.raises(InputError, match="nothing at ./no/such/folder"):
        load("./no/such/folder")
    with pytest.raises(ModelError, match=r"no .safetensors"):
        load(tmp_path)
    path = tmp_path / "model_1.safetensors"
    save_file({"ema_model.weight": np.zeros(3, np.float32)}, path)
    with pytest.raises(ModelError, match=r"is not of the architecture v1 \(it has no layer 21\)"):
        load(tmp_path)
    with pytest.raises(ModelError, match="is not of the architecture v0"):
        load(path, "v0")
    with pytest.raises(InputError, match="no architecture 'v7'"):
        load(path, "v7")
    path.write_bytes(b"torn")
    with pytest.raises(ModelError, match="can't be read"):
        load(tmp_path)


def test_a_vocoder_that_is_torn_or_another(tmp_path):
    import torch

    from workbench.engines.guests.f5_model import _load_vocoder

    network = torch.nn.Linear(2, 3)
    with pytest.raises(ModelError, match=r"pytorch_model.bin is missing"):
        _load_vocoder(network, str(tmp_path))
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(b"torn")
    with pytest.raises(ModelError, match=r"vocoder .* can't be read(.|\n)*download charactr"):
        _load_vocoder(network, str(tmp_path))
    torch.save({"weight": torch.ones(3, 4)}, path)
    with pytest.raises(ModelError, match="no Vocos for 100 mel bands"):
        _load_vocoder(network, str(tmp_path))
    torch.save({**network.state_dict(), "feature_extractor.x": torch.ones(1)}, path)
    _load_vocoder(network, str(tmp_path))
