"""The recipe that adds voices which only a context tells, at smoke size."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.errors import InputError, ModelError
from workbench.finetune.nano import checkpoints
from workbench.finetune.nano.codec import codec_config
from workbench.finetune.nano.codec_training import Heads, code_loss, decoder_loss
from workbench.finetune.nano.codes import label_all
from workbench.finetune.nano.context_check import context_losses
from workbench.finetune.nano.crops import CropSource
from workbench.finetune.nano.dataset import generate, read_all
from workbench.finetune.nano.language import PhoneScaffold, build_language, language_config
from workbench.finetune.nano.language_data import (
    OPENING_FRAMES,
    CodeSource,
    DataRecipe,
    collate,
)
from workbench.finetune.nano.speech import (
    HELD_OUT_SPEEDS,
    NEW_SPEAKERS,
    NEW_SPEEDS,
    VOICES,
    flite,
    new_voice,
    voice_of,
)
from workbench.finetune.nano.splicing import text_of
from workbench.finetune.nano.tokenizer import SPEAKERS, SPECIALS
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


def smoke(start):
    """``Recipe.cloning`` as quick as ``Recipe.smoke``."""
    quick, cloning = Recipe.smoke(), Recipe.cloning(start)
    data = replace(cloning.language.data, utterances=4)
    return replace(
        quick,
        new_voices=cloning.new_voices,
        codec=replace(cloning.codec, crops=2, decoded_crops=1, decoder_crops=1),
        language=replace(cloning.language, data=data),
        start=cloning.start,
    )


def test_voices_that_judge_clones_lie_between_those_that_are_trained():
    assert len(VOICES) * len(NEW_SPEEDS) + NEW_SPEAKERS <= 256  # stored as uint8
    for speed in (*HELD_OUT_SPEEDS, 1.0):
        nearest = min(abs(speed - other) for other in NEW_SPEEDS)
        assert nearest >= 0.019
        assert min(NEW_SPEEDS) < speed < max(NEW_SPEEDS)


@pytest.mark.parametrize("number", [0, 17, len(NEW_SPEEDS) - 1])
def test_a_new_voice_is_the_old_one_at_another_speed(number):
    old = flite().say("good morning sarah", 2)
    new = new_voice(old, number)
    assert len(new.samples) == pytest.approx(len(old.samples) / NEW_SPEEDS[number], abs=2)
    assert new.phone_ends[-1] == len(new.samples)
    assert (np.diff(new.phone_ends) >= 0).all()
    assert new.speaker == NEW_SPEAKERS + 2 * len(NEW_SPEEDS) + number
    assert voice_of(new.speaker) == (2, NEW_SPEEDS[number])
    assert voice_of(old.speaker) == (2, 1.0)
    assert new.text == old.text
    assert new.samples.dtype == np.float32


def test_without_new_voices_the_speech_is_as_before(tmp_path):
    generate(tmp_path / "a", 0.006, workers=1, shard_utterances=8)
    generate(tmp_path / "b", 0.006, workers=1, shard_utterances=8, new_voices=1.0)
    old, new = list(read_all(tmp_path / "a")), list(read_all(tmp_path / "b"))
    assert [one.text for one in old] == [one.text for one in new]
    assert all(
        one.speaker < len(VOICES) and other.speaker >= len(SPEAKERS)
        for one, other in zip(old, new, strict=True)
    )


def plain(**changes):
    return DataRecipe(context_share=1.0, splice_share=0, join_share=0, **changes)


def test_a_voice_without_an_id_follows_itself_under_any_id(speech):
    source = CodeSource(speech / "labels", plain(nameless_share=1.0, contexts=2))
    whose = {text_of(one): one.speaker for one in source.utterances}
    random = np.random.default_rng(0)
    rows = [source._turns(random) for _ in range(60)]
    assert {len(turns) for turns in rows} == {2, 3}
    for turns in rows:
        voices = {whose[text_of(turn)] for turn in turns}
        assert len(voices) == 1
        assert voices.pop() >= NEW_SPEAKERS
        assert len({turn.speaker for turn in turns}) == 1
        assert [turn.untold for turn in turns] == [OPENING_FRAMES, *[0] * (len(turns) - 1)]
    assert {turns[0].speaker for turns in rows} == set(range(len(VOICES)))


def test_another_voice_before_one_with_an_id_is_called_otherwise(speech):
    source = CodeSource(speech / "labels", plain(same_voice_share=0.0))
    whose = {text_of(one): one.speaker for one in source.utterances}
    random = np.random.default_rng(1)
    rows = [source._turns(random) for _ in range(60)]
    strange = [turns for turns in rows if whose[text_of(turns[0])] >= NEW_SPEAKERS]
    assert strange
    assert all(before.speaker != turn.speaker for before, turn in strange)
    assert all(turn.speaker == whose[text_of(turn)] < len(VOICES) for _, turn in rows)
    ids = {int(one) - len(SPECIALS) for batch in source.pool(random) for one in batch.text[:, 1]}
    assert ids <= set(range(len(VOICES)))


def test_without_a_context_only_voices_with_an_id_are_spoken(speech):
    source = CodeSource(speech / "labels", DataRecipe())
    random = np.random.default_rng(2)
    assert all(source._utterance(random).speaker < len(VOICES) for _ in range(100))


def test_what_is_untold_is_in_no_loss(speech):
    source = CodeSource(speech / "labels", plain())
    one = source.utterances[0]
    open_, kept = (
        collate([[replace(one, untold=untold)]], np.random.default_rng(0), 0.0).targets[0, :, 0]
        for untold in (0, OPENING_FRAMES)
    )
    assert int((open_ >= 0).sum()) == len(one.codes) + 1
    first = len(one.characters) + 2
    assert (kept[first : first + OPENING_FRAMES] == -100).all()
    assert (kept[first + OPENING_FRAMES :] == open_[first + OPENING_FRAMES :]).all()


def test_right_and_wrong_contexts_differ_in_the_context_alone(speech):
    recipe = Recipe.smoke()
    config = language_config(
        codec_config(**recipe.codec_changes), **json.loads(json.dumps(recipe.language_changes))
    )
    torch.manual_seed(0)
    model, scaffold = build_language(config), PhoneScaffold(config.hidden_size)
    source = CodeSource(speech / "labels", plain(contexts=2))
    first = context_losses(model, scaffold, source, "cpu")
    assert set(first) == {"right_c0", "right_depth", "wrong_c0", "wrong_depth"}
    again = context_losses(model, scaffold, source, "cpu")
    assert {k: float(v) for k, v in first.items()} == {k: float(v) for k, v in again.items()}
    # Untrained, the model makes next to nothing of either.
    assert float(first["right_c0"]) == pytest.approx(float(first["wrong_c0"]), rel=0.05)


def test_the_codec_is_taught_voice_and_pitch(speech):
    from transformers import MimiModel

    config = codec_config(**Recipe.smoke().codec_changes)
    torch.manual_seed(0)
    model, heads = MimiModel(config), Heads(config.hidden_size)
    batch = CropSource(speech / "speech").batch(np.random.default_rng(0), 3, 20)
    taught, plain_ = smoke(None).codec, replace(smoke(None).codec, voice_weight=0, pitch_weight=0)
    loss, parts = code_loss(model, heads, batch, False, taught)
    loss.backward()
    assert {"voice", "speed_percent"} <= set(parts)
    acoustic = model.quantizer.acoustic_residual_vector_quantizer
    assert all(part.grad.any() for part in (*heads.voice.parameters(), acoustic.input_proj.weight))
    assert "voice" not in code_loss(model, heads, batch, False, plain_)[1]

    made, wanted = 0.1 * torch.randn(2, 9600), batch.audio[:2, 0, 9600:19200]
    loss, parts = decoder_loss(made, wanted, taught)
    torch.testing.assert_close(loss, parts["mel"] + taught.pitch_weight * parts["pitch"])
    assert parts["pitch"] > 0
    assert set(decoder_loss(made, wanted, plain_)[1]) == {"mel"}


@pytest.mark.slow
def test_voices_are_added_to_finished_models(tmp_path):
    for stage in ("data", "codec", "encode", "language", "decoder", "export"):
        train_nano(tmp_path / "old", stage=stage, recipe=Recipe.smoke(), threads=1)
    models = tmp_path / "old" / "models"
    recipe = smoke(models)
    assert recipe.stages[1] == "adopt"
    summary = train_nano(tmp_path / "new", recipe=recipe, threads=1)
    assert "next" not in summary
    folder = tmp_path / "new" / "models" / "csm-nano"
    results = json.loads((tmp_path / "new" / "results.json").read_text())["clones"]
    assert results["nearest"]["n"] == len(VOICES) * len(HELD_OUT_SPEEDS)
    assert "voices it never heard" in (folder / "README.md").read_text()

    started, before, after = (
        checkpoints.load(path)["model"]
        for path in (
            tmp_path / "old" / "codes.pt",
            tmp_path / "new" / "codes.pt",
            tmp_path / "new" / "decoder.pt",
        )
    )
    assert any("embed_sum" in key for key in _changed(started, before))
    changed = _changed(before, after)
    assert any(key.startswith("decoder") for key in changed)
    assert not [key for key in changed if key.startswith("encoder") or "embed_sum" in key]


def _changed(before, after):
    return {key for key in before if not torch.equal(before[key], after[key])}


def test_a_start_that_is_none_is_named(tmp_path):
    with pytest.raises(ModelError, match="no model to start from"):
        train_nano(tmp_path / "out", stage="adopt", recipe=smoke(tmp_path), threads=1)
    with pytest.raises(InputError, match="no stage 'adopt'"):
        train_nano(tmp_path / "out", stage="adopt", recipe=Recipe.smoke())


def test_models_of_another_size_are_no_start(tmp_path):
    with pytest.raises(ModelError, match="other sizes"):
        train_nano(tmp_path, stage="adopt", recipe=smoke(None), threads=1)
