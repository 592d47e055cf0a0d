"""A codec by itself: by name, from a folder, with random weights."""

import pytest
import torch
from safetensors.torch import load_file, save_file

import workbench
from tests.models.conftest import TINY, random_codec, random_codes
from workbench.errors import ModelError
from workbench.models.mimi.load import RANDOM_RMS, find_codec, load_codec


@pytest.fixture
def folder(tmp_path):
    random_codec(TINY).save_pretrained(tmp_path / "tiny-mimi")
    return tmp_path / "tiny-mimi"


@torch.no_grad()
def sound(codec, frames=6):
    return codec.decode(random_codes(codec, 1, frames)).audio_values


def test_the_shipped_codec_is_csm_nano_s():
    codec = load_codec(find_codec("mimi-nano"))
    assert codec.dtype == torch.float32
    assert torch.equal(sound(codec), sound(workbench.load("csm-nano", device="cpu").codec))


def test_a_folder_sounds_as_it_was_saved(folder):
    found = find_codec(str(folder))
    assert len(found.revision) == 12
    assert torch.allclose(sound(load_codec(found)), sound(random_codec(TINY)), atol=1e-6)


def test_other_names_are_no_codec_s(tiny_folder):
    assert find_codec("csm-nano") is None
    assert find_codec(str(tiny_folder)) is None


def test_random_weights_are_the_same_each_time_and_heard(folder):
    state = torch.random.get_rng_state()
    found = find_codec(str(folder), random=True)
    first, second = (sound(load_codec(found, random=True), 40) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert RANDOM_RMS / 3 < first.std() < RANDOM_RMS * 3
    assert not torch.allclose(first, sound(random_codec(TINY), 40))
    assert find_codec("mimi", random=True).folder is None


def test_files_that_don_t_fit(folder):
    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in weights if "decoder_transformer" in name)
    rest = {name: tensor for name, tensor in weights.items() if name != gone}
    save_file(rest, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="1 weights are missing"):
        load_codec(find_codec(str(folder)))
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no .safetensors file"):
        load_codec(find_codec(str(folder)))
