import json

import pytest
import torch

import workbench
from workbench.errors import InputError
from workbench.finetune.loop import history
from workbench.finetune.lora.arm import METRIC, TrainingArm
from workbench.finetune.lora.memory import automatic_batch, saved_bytes
from workbench.finetune.lora.train import split, train_lora
from workbench.finetune.lora.training import LoraRecipe, Trainee, train_adapter
from workbench.finetune.nano import checkpoints

FLOAT = {"precision": "float32", "warmup_steps": 1, "seed": 5}


def recipe(**changes):
    return LoraRecipe(**{"epochs": 3, "batch": 2, "rank": 4, "alpha": 8, **FLOAT, **changes})


def test_an_interrupted_run_ends_like_a_whole_one(tiny_folder, data, tmp_path):
    def run(name, *minutes):
        for limit in minutes:
            train_lora(
                data, tmp_path / name, base=str(tiny_folder), device="cpu", minutes=limit,
                recipe=recipe(dropout=0.1),
            )  # fmt: skip
        return checkpoints.load(tmp_path / name / "lora.pt")

    whole, parts = run("whole", None), run("parts", 1e-6, 1e-6, None)
    assert parts["clock"]["step"] == whole["clock"]["step"] == 9
    assert all(torch.equal(whole["adapter"][name], parts["adapter"][name])
               for name in whole["adapter"])  # fmt: skip


def test_training_lowers_the_loss_and_leaves_the_base_alone(csm, spoken, tmp_path):
    before = {name: value.clone() for name, value in csm.model.state_dict().items()}
    trainee, clock = train_adapter(
        tmp_path,
        csm,
        spoken,
        spoken,
        recipe(epochs=8, peak_rate=5e-3, depth_share=1.0),
        lambda steps: checkpoints.Clock(total_steps=steps),
    )
    assert clock.finished
    curves = history(tmp_path)
    for part in ("first", "depth"):
        curve = [value for _, value in curves["lora-check"][part]]
        assert len(curve) == 8
        assert curve[-1] < curve[0]
    after = trainee.model.state_dict()
    plain = {name.replace(".base_layer", ""): value for name, value in after.items()
             if "lora_" not in name}  # fmt: skip
    assert plain.keys() == before.keys()
    assert all(torch.equal(plain[name], before[name]) for name in before)


def test_the_best_epoch_is_kept(csm, spoken, tmp_path, monkeypatch):
    losses = iter([3.0, 1.0, 2.0])
    states = []

    def told(self, recordings):
        states.append(self.state())
        return {"first": torch.tensor(next(losses))}

    monkeypatch.setattr(Trainee, "held_out_loss", told)
    trainee, _ = train_adapter(
        tmp_path, csm, spoken, spoken, recipe(), lambda n: checkpoints.Clock(total_steps=n)
    )
    kept = trainee.state()
    assert all(torch.equal(kept[name], states[1][name]) for name in kept)
    assert any(not torch.equal(kept[name], states[2][name]) for name in kept)


def test_from_recordings_to_an_adapter_that_speaks(tiny_folder, data, tmp_path):
    summary = train_lora(
        data, tmp_path, base=str(tiny_folder), voice=2, voice_name="Anna", consent="by Anna",
        device="cpu", recipe=recipe(precision="bf16", checkpointing=True),
    )  # fmt: skip
    assert summary["stages"]["encode"]["recordings"] == 6
    assert summary["stages"]["adapter"]["finished"]
    engine = workbench.load(str(tiny_folder), adapter=tmp_path / "adapter")
    assert engine.voices[2] == "Anna"
    assert engine.synthesize("hello", voice=2, max_frames=3, seed=0).frames
    about = json.loads((tmp_path / "adapter" / "workbench.json").read_text())
    assert about["consent"] == "by Anna"
    assert len(about["data_sha256"]) == 64
    assert "by Anna" in (tmp_path / "adapter" / "README.md").read_text()
    train_lora(data, tmp_path, base=str(tiny_folder), device="cpu", stage="merge")
    assert workbench.load(str(tmp_path / "merged")).voices[2] == "Anna"


def test_another_training_in_the_folder_is_named(tiny_folder, data, tmp_path):
    common = {"base": str(tiny_folder), "device": "cpu"}
    train_lora(data, tmp_path, recipe=recipe(epochs=1), **common)
    with pytest.raises(InputError, match="other settings"):
        train_lora(data, tmp_path, recipe=recipe(epochs=2), **common)
    done = train_lora(data, tmp_path, recipe=recipe(epochs=2), resume=False, **common)
    assert done["stages"]["adapter"]["step"] == 6
    with pytest.raises(InputError, match="no stage"):
        train_lora(data, tmp_path, stage="singing", **common)
    with pytest.raises(InputError, match="0 epochs"):
        recipe(epochs=0)


def test_few_recordings_are_all_trained_on():
    assert split([1, 2, 3], 0.1) == ([1, 2, 3], [])
    train, held_out = split(list(range(20)), 0.1)
    assert held_out == [9, 19]
    assert sorted([*train, *held_out]) == list(range(20))


def test_activations_grow_by_the_row_and_shrink_by_checkpointing(csm, spoken):
    row = spoken[0]
    kept = {}
    for checkpointing in (False, True):
        trainee = Trainee(csm, recipe(checkpointing=checkpointing))
        kept[checkpointing] = [
            saved_bytes(lambda rows=rows, one=trainee: one.loss(spoken.collate([row] * rows), 0)[0])
            for rows in (1, 2, 3)
        ]
        csm.model.gradient_checkpointing_disable()
    for one, two, three in kept.values():
        assert two - one == pytest.approx(three - two, rel=0.1)
        assert two > one
    assert kept[True][2] < 0.6 * kept[False][2]


def test_the_automatic_batch_follows_the_memory(monkeypatch):
    from workbench.finetune.lora import memory

    weights = torch.zeros(10, 1000, requires_grad=True)

    def forward(rows):
        return (torch.ones(rows, 10) @ weights).exp()  # keeps rows × 4000 bytes

    for free, wanted in ((0, 1), (2 * 2 * 4_100 * 5, 5), (10**12, 16)):
        monkeypatch.setattr(memory, "free_bytes", lambda device, free=free: free)
        assert automatic_batch(forward, torch.device("cpu")) == wanted


def test_arms_of_any_batch_train_on_the_same_recordings(tiny_folder, data, codes):
    seen = {}
    for batch in (1, 4):
        arm = TrainingArm(
            str(tiny_folder), str(data), str(codes), device="cpu", per_trial=4,
            recipe={"batch": batch, "precision": "float32", "loading": {"pinned": False}},
        )  # fmt: skip
        batches = []
        step = arm._step
        arm._step = lambda one, step=step, batches=batches: (batches.append(one), step(one))
        assert arm.warm_up() > 0
        figures = arm.trial(0, 0)
        assert figures[METRIC] > 0
        assert figures["activation_bytes"] > 0
        assert arm.about()["batch"] == batch
        assert [len(one.text) for one in batches] == [batch] * (8 // batch)
        seen[batch] = sorted(int(row.sum()) for one in batches for row in one.text)
    assert seen[1] == seen[4]
    with pytest.raises(InputError, match="batches of 3"):
        TrainingArm(str(tiny_folder), str(data), str(codes), per_trial=4, recipe={"batch": 3})
