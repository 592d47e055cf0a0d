"""The recipe with voices that only a context tells, at smoke size."""

import json
from dataclasses import replace

import numpy as np
import pytest

from workbench.errors import InputError
from workbench.finetune.nano.codes import label_all
from workbench.finetune.nano.dataset import generate, read_all
from workbench.finetune.nano.language_data import CodeSource, DataRecipe, speaker_id
from workbench.finetune.nano.speech import NEW_SPEEDS, VOICES, flite, new_voice
from workbench.finetune.nano.tokenizer import AS_HEARD, SPECIALS
from workbench.finetune.nano.train import Recipe, train_nano


@pytest.fixture(scope="module", autouse=True)
def _flite():
    try:
        flite()
    except InputError as problem:
        pytest.skip(f"no flite here: {problem.what}")


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cloning")
    generate(folder / "speech", 0.05, workers=1, shard_utterances=68, new_voices=0.6)
    label_all(folder / "speech", folder / "labels", 3)
    return folder


@pytest.mark.parametrize("number", range(len(NEW_SPEEDS)))
def test_a_new_voice_is_the_old_one_at_another_speed(number):
    old = flite().say("good morning sarah", 2)
    new = new_voice(old, number)
    assert len(new.samples) == pytest.approx(len(old.samples) / NEW_SPEEDS[number], abs=2)
    assert new.phone_ends[-1] == len(new.samples)
    assert (np.diff(new.phone_ends) >= 0).all()
    assert new.speaker == len(VOICES) + 2 * len(NEW_SPEEDS) + number
    assert new.text == old.text
    assert new.samples.dtype == np.float32


def test_without_new_voices_the_speech_is_as_before(tmp_path):
    generate(tmp_path / "a", 0.006, workers=1, shard_utterances=8)
    generate(tmp_path / "b", 0.006, workers=1, shard_utterances=8, new_voices=1.0)
    old, new = list(read_all(tmp_path / "a")), list(read_all(tmp_path / "b"))
    assert [one.text for one in old] == [one.text for one in new]
    assert all(
        one.speaker < len(VOICES) <= other.speaker for one, other in zip(old, new, strict=True)
    )


def test_new_voices_have_one_id_and_always_follow_their_own(speech):
    recipe = DataRecipe(context_share=1.0, same_voice_share=0.0, splice_share=0, join_share=0)
    source = CodeSource(speech / "labels", recipe)
    names = {utterance.speaker for utterance in source.utterances}
    assert any(speaker >= len(VOICES) for speaker in names)
    random = np.random.default_rng(0)
    pairs = [source._turns(random) for _ in range(60)]
    nameless = [(one, other) for one, other in pairs if other.speaker >= len(VOICES)]
    assert nameless
    assert all(one.speaker == other.speaker for one, other in nameless)
    (batch, *_) = source.pool(random)
    ids = set((batch.text[:, 1] - len(SPECIALS)).tolist())
    assert ids <= {*range(len(VOICES)), AS_HEARD}
    assert [speaker_id(speaker) for speaker in (0, 3, 4, 31)] == [0, 3, AS_HEARD, AS_HEARD]


def test_the_recipe_trains_and_its_model_has_an_id_for_what_it_hears(tmp_path):
    smoke, cloning = Recipe.smoke(), Recipe.cloning()
    data = replace(cloning.language.data, utterances=4)
    recipe = replace(
        smoke, new_voices=cloning.new_voices, language=replace(cloning.language, data=data)
    )
    for stage in ("data", "codec", "encode", "language", "decoder", "export"):
        train_nano(tmp_path, stage=stage, recipe=recipe, threads=1)
    folder = tmp_path / "models" / "csm-nano"
    voices = json.loads((folder / "workbench.json").read_text())["voices"]
    assert voices[str(AS_HEARD)]["name"] == "as heard"
    assert "as `[9]` speaks on" in (folder / "README.md").read_text()
