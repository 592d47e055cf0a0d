"""Piper: voice files of every wrong kind, and with piper-tts the real thing."""

import json

import numpy as np
import pytest

import workbench
from workbench.engines.guests import installed
from workbench.engines.guests.hosted import Wanted
from workbench.engines.guests.piper import Settings, _config, _voice_file
from workbench.engines.guests.piper_random import PHONEME_FRAMES, Sizes, voice_graph
from workbench.errors import InputError, ModelError

here = pytest.mark.skipif(
    not installed("piper"), reason="piper isn't installed: workbench engines install piper"
)


def wanted(checkpoint):
    return Wanted(str(checkpoint), None, False, "full", None, None, None, None, {})


@pytest.mark.parametrize(
    ("name", "kind", "named"),
    [
        ("", InputError, "without a voice"),
        ("no/such/voice.onnx", InputError, "no voice at"),
        ("parrot", InputError, "no voice called 'parrot'"),
        (".", InputError, "several voices or no one"),
    ],
)
def test_a_voice_that_is_not_there(name, kind, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=named):
        _voice_file(wanted(name))


def test_a_folder_with_one_voice(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"")
    assert _voice_file(wanted(tmp_path)) == tmp_path / "a.onnx"
    (tmp_path / "b.ckpt").write_bytes(b"")
    with pytest.raises(ModelError, match="export the checkpoint"):
        _voice_file(wanted(tmp_path / "b.ckpt"))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, r"a.onnx.json is missing"),
        ("{", "can't be read as JSON"),
        ("[]", "no phoneme_id_map"),
        ('{"audio": {}}', "download the voice and its JSON again"),
    ],
)
def test_a_voice_whose_json_is_wrong(tmp_path, content, named):
    if content is not None:
        (tmp_path / "a.onnx.json").write_text(content)
    with pytest.raises(ModelError, match=named):
        _config(tmp_path / "a.onnx")


@pytest.mark.parametrize("given", [{"length_scale": 0}, {"noise_scale": -1}, {"volume": 0}])
def test_settings_out_of_range(given):
    with pytest.raises(InputError, match=f"{next(iter(given))}="):
        Settings(**given)


def test_a_random_voice_has_piper_s_inputs_and_lengths():
    pytest.importorskip("onnx", reason="onnx is not installed")
    onnxruntime = pytest.importorskip("onnxruntime")
    graph = voice_graph(Sizes(8, (8, 8, 4), (3,), ((1, 2),)), speakers=2)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    assert {one.name for one in session.get_inputs()} == {
        "input", "input_lengths", "scales", "sid",
    }  # fmt: skip

    def spoken(scales, speaker=0):
        ids = np.arange(5)[None]
        given = {"input": ids, "input_lengths": np.array([5]), "sid": np.array([speaker])}
        return session.run(None, {**given, "scales": np.array(scales, np.float32)})[0]

    quiet = spoken([0, 1, 0])
    assert quiet.shape == (1, 1, 1, int(5 * PHONEME_FRAMES * 256))
    assert 0.001 < quiet.std() < 1
    assert np.array_equal(quiet, spoken([0, 1, 0]))
    assert not np.array_equal(spoken([1, 1, 0]), spoken([1, 1, 0]))  # noise inside the graph
    assert spoken([0, 2, 0]).shape[-1] == 2 * quiet.shape[-1]
    assert not np.array_equal(quiet, spoken([0, 1, 0], speaker=1))


@pytest.fixture(scope="module")
def engine():
    with workbench.load("piper", weights="random", size="small", threads=1) as made:
        yield made


@here
def test_it_streams_by_sentence(engine):
    stream = engine.stream("Good morning. How are you? Fine.", temperature=0)
    chunks = list(stream)
    assert len(chunks) == 3
    whole = engine.synthesize("Good morning. How are you? Fine.", temperature=0)
    assert np.array_equal(whole.samples, stream.speech.samples)
    assert whole.rate_hz == 22_050
    assert whole.weights == "random"
    assert whole.implementation.startswith("piper-tts 1.")


@here
def test_noise_can_be_had_again_only_where_asked_for(engine):
    assert "seed" in engine.left_out
    first, second = (engine.synthesize("Good morning.", seed=1).samples for _ in range(2))
    assert not np.array_equal(first, second)
    with workbench.load("piper", weights="random", size="small", repeatable=True) as other:
        assert not other.left_out
        again = [other.synthesize("Good morning.", seed=seed).samples for seed in (1, 2, 1)]
        assert np.array_equal(again[0], again[2])
        assert not np.array_equal(again[0], again[1])


@here
def test_a_voice_file_from_a_folder(tmp_path):
    """A file as Piper's export writes it, and one of another version."""
    pytest.importorskip("onnx", reason="onnx is not installed")
    ids = {sign: [number] for number, sign in enumerate("_^$ abcdefghijklmnopqrstuvwxyz.")}
    config = {
        "audio": {"sample_rate": 16_000}, "espeak": {"voice": "en-us"}, "phoneme_type": "text",
        "num_symbols": 40, "num_speakers": 2, "phoneme_id_map": ids, "inference": {},
        "speaker_id_map": {"ann": 0, "bob": 1},
    }  # fmt: skip
    path = tmp_path / "voice.onnx"
    path.write_bytes(voice_graph(Sizes(8, (8, 8, 4), (3,), ((1, 2),)), speakers=2))
    beside = tmp_path / "voice.onnx.json"
    beside.write_text(json.dumps(config))
    with workbench.load(f"piper:{path}", normalize=False) as engine:
        assert engine.voices == {0: "ann", 1: "bob"}
        assert len(engine.weights) == 12
        ann, bob = (
            engine.synthesize("good morning", voice=voice, temperature=0) for voice in (0, 1)
        )
        assert ann.rate_hz == 16_000
        assert not np.array_equal(ann.samples, bob.samples)
    beside.write_text(json.dumps({**config, "num_speakers": 1}))
    with pytest.raises(ModelError, match="the voice takes .*sid"):
        workbench.load(f"piper:{path}")
    beside.write_text(json.dumps({**config, "audio": {}}))
    with pytest.raises(ModelError, match=r"lacks or has a wrong 'sample_rate'"):
        workbench.load(f"piper:{path}")
    beside.write_text(json.dumps(config))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="can't be loaded"):
        workbench.load(f"piper:{path}")


@here
@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"optimizations": ["bf16"]}, "PyTorch's optimizations don't apply"),
        ({"dtype": "float16"}, "a voice file says its types"),
        ({"device": "tpu"}, "no device called 'tpu'"),
    ],
)
def test_what_does_not_apply_is_refused(given, named):
    with pytest.raises(InputError, match=named):
        workbench.load("piper", weights="random", size="small", **given)
