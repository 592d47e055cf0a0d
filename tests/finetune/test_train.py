import json

import numpy as np
import pytest
import torch

from workbench.errors import InputError
from workbench.files import sha256_of
from workbench.finetune.nano import checkpoints
from workbench.finetune.nano.codec import DEAD_CODE, FRAME_SAMPLES, codec_config
from workbench.finetune.nano.codec_training import train_codes
from workbench.finetune.nano.codes import label_all
from workbench.finetune.nano.dataset import generate
from workbench.finetune.nano.evaluate import decode_codes
from workbench.finetune.nano.language import language_config
from workbench.finetune.nano.language_training import train_language
from workbench.finetune.nano.speech import flite
from workbench.finetune.nano.train import Recipe, train_nano

RECIPE = Recipe.smoke()


def codec() -> object:
    return codec_config(**RECIPE.codec_changes)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    try:
        flite()
    except InputError as problem:
        pytest.skip(f"no flite here: {problem.what}")
    folder = tmp_path_factory.mktemp("nano")
    generate(folder / "speech", RECIPE.hours_of_speech, workers=1, shard_utterances=15)
    label_all(folder / "speech", folder / "labels", 3)
    return folder


def test_an_interrupted_codec_run_ends_like_a_whole_one(data, tmp_path) -> None:
    def run(name: str, *stops: int) -> dict:
        folder = tmp_path / name
        folder.mkdir()
        for stop in stops:
            clock = checkpoints.Clock(total_steps=6, session_steps=stop)
            train_codes(folder, data / "speech", codec(), RECIPE.codec, clock)
        return checkpoints.load(folder / "codes.pt")["model"]

    whole, parts = run("whole", 6), run("parts", 2, 3, 6)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_an_interrupted_language_run_ends_like_a_whole_one(data, tmp_path) -> None:
    config = language_config(codec(), **json.loads(json.dumps(RECIPE.language_changes)))

    def run(name: str, *stops: int) -> dict:
        folder = tmp_path / name
        folder.mkdir()
        for stop in stops:
            clock = checkpoints.Clock(total_steps=5, session_steps=stop)
            train_language(folder, data / "labels", config, RECIPE.language, clock)
        return checkpoints.load(folder / "language.pt")

    whole, parts = run("whole", 5), run("parts", 2, 5)
    for part in ("model", "average"):
        assert all(torch.equal(whole[part][name], parts[part][name]) for name in whole[part])


def test_unknown_stages_and_missing_inputs_are_named(tmp_path) -> None:
    with pytest.raises(InputError, match="no stage"):
        train_nano(tmp_path, stage="singing")
    with pytest.raises(InputError, match=r"no codes\.pt"):
        train_nano(tmp_path, stage="encode", recipe=RECIPE)


@pytest.mark.parametrize(
    ("stage", "first"),
    [
        ("alignment", "data"),
        ("codec", "data"),
        ("encode", "codec"),
        ("language", "encode"),
        ("decoder", "codec"),
        ("evaluate", "decoder"),
        ("export", "decoder"),
    ],
)
def test_a_stage_before_its_time_names_the_one_to_run_first(tmp_path, stage, first) -> None:
    with pytest.raises(InputError, match="yet") as caught:
        train_nano(tmp_path, stage=stage, recipe=RECIPE)
    assert f"'{first}'" in caught.value.remedy


@pytest.mark.slow
def test_smoke_run_makes_models_that_transformers_loads(data, tmp_path) -> None:
    from transformers import CsmForConditionalGeneration, CsmProcessor, MimiModel

    summary = train_nano(tmp_path, recipe=RECIPE, threads=1)
    assert "next" not in summary
    again = train_nano(tmp_path, stage="language", recipe=RECIPE)
    assert again["stages"]["language"]["finished"]

    mimi, csm = tmp_path / "models" / "mimi-nano", tmp_path / "models" / "csm-nano"
    for folder in (mimi, csm):
        for line in (folder / "SHA256SUMS").read_text().splitlines():
            digest, name = line.split("  ")
            assert sha256_of(folder / name) == digest
        assert "WER" in (folder / "README.md").read_text()
    model = MimiModel.from_pretrained(mimi, dtype=torch.float32)
    sound = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 1, 48_000)) * 0.1).float()
    codes = model.encode(sound).audio_codes
    assert codes.shape == (1, 3, 25)
    assert (codes != DEAD_CODE).all()

    model = CsmForConditionalGeneration.from_pretrained(csm, dtype=torch.float32)
    model.codec_model = MimiModel.from_pretrained(mimi, dtype=torch.float32)
    processor = CsmProcessor.from_pretrained(csm)
    inputs = processor("[1]good morning", add_special_tokens=True)
    made = model.generate(**inputs, max_new_tokens=3)[0].numpy()
    assert made.shape == (3, 3)
    assert len(decode_codes(model.codec_model, made)) == 3 * FRAME_SAMPLES
    extra = json.loads((csm / "workbench.json").read_text())
    assert extra["codec"] == "mimi-nano"
    assert list(extra["voices"]) == ["0", "1", "2", "3"]


def test_a_process_held_up_has_not_trained(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(checkpoints, "training_s", lambda: now[0])
    clock = checkpoints.Clock(total_s=1000)
    clock.start()
    for passed in (0.5, 1200.0, 0.5):
        now[0] += passed
        clock.tick()
    assert (clock.step, clock.elapsed_s) == (3, pytest.approx(1.0))
