"""Loading: shipped names, folders, and every way in which files can be wrong."""

import json
import shutil

import pytest
import torch

import workbench
from workbench.errors import InputError, ModelError
from workbench.files import sha256_of
from workbench.native import native_status


@pytest.fixture
def folder(tiny_folder, tmp_path):
    return shutil.copytree(tiny_folder, tmp_path / "copy")


def test_defaults_of_a_small_model_on_the_cpu(tiny_engine):
    assert tiny_engine.dtype == torch.float32
    assert tiny_engine.implementation == "frame"
    assert tiny_engine.device.type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_the_codec_stays_in_float32(folder):
    engine = workbench.load(str(folder), dtype="bfloat16")
    assert engine.dtype == torch.bfloat16
    assert engine.codec.dtype == torch.float32
    assert engine.synthesize("hi", seed=0, max_frames=3).frames == 3


@pytest.mark.skipif(not native_status().built, reason="the native kernels aren't built")
def test_native_layers_are_left_out_of_float16(folder):
    assert "native_layers" in workbench.load(str(folder), device="cpu").optimizations
    engine = workbench.load(str(folder), device="cpu", dtype="float16")
    assert "native_layers" not in engine.optimizations
    assert "float16" in engine.left_out["native_layers"]
    assert not engine.options.native_layers


def test_implementations_share_their_weights(tiny_engine, tiny_baseline):
    assert tiny_baseline.csm is tiny_engine.csm
    with pytest.raises(InputError, match="magic"):
        tiny_engine.with_implementation("magic")


def test_transformers_loads_as_an_implementation(tiny_folder):
    engine = workbench.load(str(tiny_folder), implementation="transformers")
    assert engine.implementation == "transformers"
    assert not engine.streams


def test_sampling_settings_come_from_the_checkpoint(tiny_engine):
    sampling = tiny_engine.csm.sampling
    assert (sampling.temperature, sampling.top_k) == (0.8, 5)
    assert sampling.depth_temperature == 0.0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"name": "csm-huge"}, "csm-huge"),
        ({"name": "./no/such/folder"}, "no/such/folder"),
        ({"name": "csm-nano", "weights": "maybe"}, "maybe"),
        ({"name": "csm-nano", "implementation": "magic"}, "magic"),
        ({"name": "csm-nano", "device": "warp"}, "warp"),
        ({"name": "csm-nano", "dtype": "float8"}, "float8"),
        ({"name": "csm-nano", "threads": 0}, "0 threads"),
    ],
)
def test_unknown_settings_are_named(arguments, named):
    with pytest.raises(InputError, match=named):
        workbench.load(**arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA GPU")
def test_cuda_where_there_is_none_is_refused():
    with pytest.raises(InputError, match="no CUDA GPU"):
        workbench.load("csm-nano", device="cuda")


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_missing_files_are_named(folder, file):
    (folder / file).unlink()
    with pytest.raises(ModelError, match="safetensors|" + file):
        workbench.load(str(folder))


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_truncated_files_are_named(folder, file):
    whole = (folder / file).read_bytes()
    (folder / file).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="can't be read"):
        workbench.load(str(folder))


def test_weights_that_don_t_fit_the_config_are_named(folder):
    config = json.loads((folder / "config.json").read_text())
    config["num_hidden_layers"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="missing"):
        workbench.load(str(folder))


def test_checksums_are_verified(folder):
    digest = sha256_of(folder / "model.safetensors")
    (folder / "SHA256SUMS").write_text(f"{digest}  model.safetensors\n")
    assert workbench.load(str(folder)).weights == digest[:12]
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    with pytest.raises(ModelError, match="damaged"):
        workbench.load(str(folder))


def test_sharded_weights_load_and_have_a_revision_of_all_their_files(tiny_engine, tmp_path):
    import copy

    from tests import tiny

    model = copy.deepcopy(tiny_engine.csm.model)
    model.save_pretrained(tmp_path, max_shard_size="200KB")
    tiny.tokenizer().save(str(tmp_path / "tokenizer.json"))
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    engine = workbench.load(str(tmp_path))
    assert len(engine.weights) == 12
    arguments = {"text": "hi", "temperature": 0, "max_frames": 5}
    assert (engine.synthesize(**arguments).codes == tiny_engine.synthesize(**arguments).codes).all()


def test_pickled_weights_are_not_loaded(folder):
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        workbench.load(str(folder))


def test_a_codec_of_its_own_folder(tiny_folder, tmp_path):
    """The layout of csm-nano: the codec's weights lie once, beside."""
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_folder, tmp_path / "csm")
    weights = load_file(folder / "model.safetensors")
    prefix = "codec_model."
    codec = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    rest = {k: v for k, v in weights.items() if not k.startswith(prefix)}
    save_file(rest, folder / "model.safetensors", metadata={"format": "pt"})
    extra = {"codec": "codec", "voices": {"0": {"name": "ann"}, "3": {"name": "bob"}}}
    (folder / "workbench.json").write_text(json.dumps(extra))
    with pytest.raises(ModelError, match="its codec is missing"):
        workbench.load(str(folder))
    (tmp_path / "codec").mkdir()
    save_file(codec, tmp_path / "codec" / "model.safetensors", metadata={"format": "pt"})
    engine = workbench.load(str(folder))
    assert engine.voices == {0: "ann", 3: "bob"}
    whole = workbench.load(str(tiny_folder)).synthesize("good morning", seed=1, max_frames=9)
    assert (engine.synthesize("good morning", seed=1, max_frames=9).samples == whole.samples).all()
