"""Adapters in the engine: merged and beside the weights, and what is refused."""

import json
import shutil

import pytest
import torch

import workbench
from workbench.engines.adapters import LOOK_INTO_WEIGHTS
from workbench.errors import InputError, ModelError
from workbench.finetune.lora.adapter import new_adapter, save_adapter
from workbench.finetune.lora.merge import merge
from workbench.models.checkpoint import find
from workbench.models.csm.load import load_csm

GREEDY = {"temperature": 0.0, "max_frames": 6, "seed": 0}


@pytest.fixture(scope="module")
def adapter(tiny_folder, tmp_path_factory):
    """An adapter that changes what is said: both of its factors are random."""
    checkpoint = find(str(tiny_folder))
    csm = load_csm(checkpoint, random=False, dtype=torch.float32, device=torch.device("cpu"))
    torch.manual_seed(1)
    model = new_adapter(csm.model, rank=4, alpha=8)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)
    about = {
        "base": "tiny-csm",
        "base_revision": checkpoint.revision,
        "voice": 3,
        "voice_name": "Anna",
    }
    return save_adapter(model, tmp_path_factory.mktemp("lora") / "adapter", about, "# Anna\n")


@pytest.fixture(scope="module")
def engines(tiny_folder, adapter):
    base = str(tiny_folder)
    return {
        "base": workbench.load(base),
        "merged": workbench.load(base, adapter=adapter),
        "unmerged": workbench.load(base, adapter=adapter, merge_adapter=False),
    }


def test_a_fresh_adapter_changes_nothing_and_trains_little(csm):
    ids = torch.zeros(1, 5, 4, dtype=torch.int64)
    with torch.no_grad():
        before = csm.model(ids).logits
        model = new_adapter(csm.model, rank=4, alpha=8)
        after = csm.model(ids).logits
    assert torch.equal(before, after)
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    places = {name.split("base_model.model.")[1].split(".layers")[0] for name in trained}
    assert places == {"backbone_model", "depth_decoder.model"}
    assert not [name for name in trained if "backbone_model" in name and "mlp" in name]
    with pytest.raises(InputError, match="rank of 0"):
        new_adapter(csm.model, rank=0, alpha=8)


def test_merged_and_unmerged_say_the_same_and_not_the_base_s(engines):
    codes = {
        name: engine.synthesize("good morning", **GREEDY).codes.tolist()
        for name, engine in engines.items()
    }
    assert codes["merged"] == codes["unmerged"] != codes["base"]


def test_the_engine_tells_what_it_is(engines, adapter):
    base, merged = engines["base"], engines["merged"]
    digest = merged.weights.removeprefix(f"{base.weights}+")
    assert len(digest) == 12
    assert engines["unmerged"].weights == f"{merged.weights} unmerged"
    assert merged.voices[3] == "Anna"
    assert base.voices[3] == "speaker 3"
    text = (adapter / "adapter_config.json").read_text()
    assert json.loads(text)["base_model_name_or_path"] == "tiny-csm"
    assert not [path for path in adapter.iterdir() if path.suffix in (".bin", ".pt")]


def test_switches_that_look_into_weights_are_not_used_beside_an_adapter(tiny_folder, adapter):
    base = str(tiny_folder)
    unmerged = {"adapter": adapter, "merge_adapter": False}
    with pytest.raises(InputError, match="fused_projections"):
        workbench.load(base, optimizations=["frame_step", "fused_projections"], **unmerged)
    engine = workbench.load(base, device="cpu", **unmerged)
    assert "beside them" in engine.left_out["fused_projections"]
    assert not LOOK_INTO_WEIGHTS & set(engine.optimizations)
    with pytest.raises(ModelError, match="unmerged"):
        engine.with_optimizations(["frame_step", "fused_projections"])
    fused = workbench.load(base, optimizations=["frame_step", "fused_projections"], adapter=adapter)
    plain = workbench.load(base, adapter=adapter)
    codes = [one.synthesize("hello", **GREEDY).codes.tolist() for one in (fused, plain)]
    assert codes[0] == codes[1]


def test_a_merged_checkpoint_speaks_as_the_merged_adapter(tiny_folder, adapter, engines, tmp_path):
    folder = merge(str(tiny_folder), adapter, tmp_path / "merged")
    engine = workbench.load(str(folder))
    said = engine.synthesize("good morning", **GREEDY)
    wanted = engines["merged"].synthesize("good morning", **GREEDY)
    assert said.codes.tolist() == wanted.codes.tolist()
    torch.testing.assert_close(
        torch.from_numpy(said.samples), torch.from_numpy(wanted.samples), atol=1e-4, rtol=0
    )
    assert engine.voices[3] == "Anna"
    assert engine.voices[0] == "speaker 0"
    with pytest.raises(InputError, match="holds the base"):
        merge(str(tiny_folder), adapter, tiny_folder)


def test_what_is_no_adapter_of_this_base_is_refused(tiny_folder, adapter, tmp_path):
    def changed(name, **about):
        copy = shutil.copytree(adapter, tmp_path / name)
        (copy / "SHA256SUMS").unlink()
        path = copy / "workbench.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **about}))
        return copy

    base = str(tiny_folder)
    with pytest.raises(InputError, match="no adapter folder"):
        workbench.load(base, adapter=tmp_path / "none")
    with pytest.raises(ModelError, match="was trained on"):
        workbench.load(base, adapter=changed("other", base_revision="0123456789ab"))
    pickled = changed("pickled")
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors is missing"):
        workbench.load(base, adapter=pickled)
    torn = changed("torn")
    whole = (torn / "adapter_model.safetensors").read_bytes()
    (torn / "adapter_model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="torn"):
        workbench.load(base, adapter=torn)
    partial = changed("partial")
    from safetensors.torch import load_file, save_file

    weights = load_file(partial / "adapter_model.safetensors")
    weights.pop(sorted(weights)[0])
    save_file(weights, partial / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="1 weights"):
        workbench.load(base, adapter=partial)
    prompt = changed("prompt")
    path = prompt / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "peft_type": "PROMPT_TUNING"}))
    with pytest.raises(ModelError, match="PROMPT_TUNING"):
        workbench.load(base, adapter=prompt)
    damaged = shutil.copytree(adapter, tmp_path / "damaged")
    (damaged / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="damaged"):
        workbench.load(base, adapter=damaged)
