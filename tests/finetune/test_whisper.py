"""whisper-nano's data, losses and training, on a tiny model and a few utterances."""

import itertools
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from tests import tiny_whisper
from workbench.audio import Audio
from workbench.engines.asr.load import load_recognizer
from workbench.errors import InputError
from workbench.files import sha256_of
from workbench.finetune.nano import checkpoints, whisper_evaluate
from workbench.finetune.nano.dataset import generate, write_shard
from workbench.finetune.nano.domain import training_sentences
from workbench.finetune.nano.speech import PHONE_IDS, Utterance, flite
from workbench.finetune.nano.whisper import PhoneClassifier, whisper_config, whisper_loss
from workbench.finetune.nano.whisper_data import (
    IGNORED,
    PLACE,
    UNKNOWN,
    WINDOW,
    DataRecipe,
    SpeechSource,
    Window,
    collate,
    log_mel,
    transcript,
)
from workbench.finetune.nano.whisper_pauses import parted
from workbench.finetune.nano.whisper_tokenizer import build_tokenizer, feature_extractor
from workbench.finetune.nano.whisper_train import Recipe, train_whisper_nano
from workbench.finetune.nano.whisper_training import WhisperRecipe, train_whisper

CLEAN = DataRecipe(utterances=3, noise_share=0, tempo_share=0, silence_share=0)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(400, sentences=300)


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    try:
        flite()
    except InputError as problem:
        pytest.skip(f"no flite here: {problem.what}")
    folder = tmp_path_factory.mktemp("whisper") / "speech"
    generate(folder, 30 * 2.66 / 3600, workers=1, shard_utterances=15)
    return folder


@pytest.fixture(scope="module")
def source(speech, tokenizer):
    return SpeechSource([speech], tokenizer, CLEAN)


def test_text_survives_the_tokenizer_and_specials_lie_where_whisper_has_them(tokenizer):
    for text in itertools.islice(training_sentences(3), 50):
        ids = tokenizer(f" {text}", add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == f" {text}"
        assert max(ids) < tokenizer.eos_token_id
    find = tokenizer.convert_tokens_to_ids
    assert find("<|startoftranscript|>") == tokenizer.eos_token_id + 1
    assert find("<|notimestamps|>") == len(tokenizer) - 1


def test_what_faster_whisper_suppresses_is_never_the_bare_space(tokenizer):
    space = tokenizer.convert_tokens_to_ids("Ġ")
    for sign in (" -", " '", *(f" {letter}" for letter in "abcdefghijklmnopqrstuvwxyz")):
        ids = tokenizer(sign, add_special_tokens=False)["input_ids"]
        assert len(ids) == 1
        assert ids[0] != space


def test_features_at_24_khz_are_whispers_at_16_khz():
    # A chirp up to 6 kHz: above, the two rates' filters differ.
    time = np.arange(24_000 * 2) / 24_000
    samples = (np.sin(2 * np.pi * (100 + 1400 * time) * time) * 0.3).astype(np.float32)
    mine = log_mel(torch.from_numpy(np.pad(samples, (0, WINDOW - len(samples))))[None])
    low = Audio(samples, 24_000).resampled(16_000).samples
    wanted = feature_extractor()(low, sampling_rate=16_000, return_tensors="pt")["input_features"]
    assert mine.shape == wanted.shape == (1, 80, 3000)
    assert (mine - wanted)[..., 2:195].abs().mean() < 0.01


def test_a_transcripts_tokens_and_places(source, tokenizer):
    spoken = source.utterances[0]
    find = tokenizer.convert_tokens_to_ids
    start, bare = find("<|startoftranscript|>"), find("<|notimestamps|>")
    window = Window(WINDOW, [(spoken, 10 * PLACE, 1.0)])
    tokens, targets, places = transcript(window, tokenizer)
    assert tokens == [start, bare, *spoken.tokens]
    assert targets == [bare, *spoken.tokens, tokenizer.eos_token_id]
    assert places[0] == places[-1] == (0, 0)
    assert all(10 - 2 <= first < last for first, last in places[1:-1])
    assert places[-2][1] <= 10 + spoken.length / PLACE + 4
    window.timestamps = True
    tokens, targets, _ = transcript(window, tokenizer)
    assert tokens[1] == bare + 1 + 10
    assert tokens[-1] == bare + 1 + round((10 * PLACE + spoken.length) / PLACE)
    assert targets == [*tokens[1:], tokenizer.eos_token_id]


def test_silence_is_no_speech_and_an_empty_text(tokenizer):
    find = tokenizer.convert_tokens_to_ids
    tokens, targets, _ = transcript(Window(PLACE), tokenizer)
    assert tokens == [find("<|startoftranscript|>"), find("<|notimestamps|>")]
    assert targets == [find("<|nocaptions|>"), tokenizer.eos_token_id]


def test_phones_lie_where_the_sound_is(source, tokenizer):
    spoken = source.utterances[0]
    at = 50 * PLACE
    window = Window(at + spoken.length + 20 * PLACE, [(spoken, at, 1.0)])
    batch = collate([window], tokenizer, np.random.default_rng(0), CLEAN)
    places = batch.phones.shape[1]
    assert batch.features.shape == (1, 80, 2 * places)
    voiced = (batch.phones[0] != PHONE_IDS["pau"]).nonzero().flatten()
    assert 50 < voiced[0] < 65
    assert voiced[-1] < 50 + spoken.length / PLACE
    # Vowels are loud, the silence before isn't.
    level = batch.features[0].mean(0)
    vowel = (batch.phones[0] == PHONE_IDS["iy"]) | (batch.phones[0] == PHONE_IDS["ae"])
    if vowel.any():
        assert level[::2][vowel].mean() > level[:80].mean() + 0.2


def test_both_kinds_of_padding_occur(source, tokenizer):
    windows = [source._long(np.random.default_rng(seed)) for seed in range(6)]
    ends = collate(windows, tokenizer, np.random.default_rng(0), CLEAN).features[:, :, -1]
    zero = (ends == 0).all(1)
    assert zero.any()
    assert not zero.all()


def test_speech_of_unknown_phones_is_left_out_of_their_losses(tmp_path, tokenizer):
    samples = np.random.default_rng(0).standard_normal(24_000).astype(np.float32) * 0.1
    utterance = Utterance(
        "good morning",
        0,
        samples,
        np.array([UNKNOWN], np.uint8),
        np.array([24_000], np.int32),
        np.array([-1], np.int16),
    )
    write_shard(tmp_path, 0, [utterance])
    source = SpeechSource([tmp_path], tokenizer, CLEAN)
    window = Window(24_000, [(source.utterances[0], 0, 1.0)])
    batch = collate([window], tokenizer, np.random.default_rng(0), CLEAN)
    assert (batch.phones[0, :50] == IGNORED).all()
    assert not batch.guides.any()


def test_losses_fall_on_one_batch(source, tokenizer):
    model = tiny_whisper.model(tokenizer).train()
    torch.manual_seed(0)
    classifier = PhoneClassifier(32)
    optimizer = torch.optim.AdamW([*model.parameters(), *classifier.parameters()], lr=5e-3)
    windows = [source._short(np.random.default_rng(seed)) for seed in range(3)]
    batch = collate(windows, tokenizer, np.random.default_rng(0), CLEAN)
    seen = []
    for _ in range(25):
        loss, parts = whisper_loss(model, classifier, batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seen.append({name: float(value.detach()) for name, value in parts.items()})
    assert set(seen[0]) == {"token", "phone", "guide"}
    for name in seen[0]:
        assert seen[-1][name] < seen[0][name]


def test_an_interrupted_run_ends_like_a_whole_one(speech, tokenizer, tmp_path):
    config = whisper_config(tokenizer, **tiny_whisper.SETTINGS)
    recipe = WhisperRecipe(data=CLEAN)

    def run(name: str, *stops: int) -> dict:
        folder = tmp_path / name
        folder.mkdir()
        for stop in stops:
            clock = checkpoints.Clock(total_steps=5, session_steps=stop)
            train_whisper(folder, [speech], config, tokenizer, recipe, clock)
        return checkpoints.load(folder / "whisper.pt")["average"]

    whole, parts = run("whole", 5), run("parts", 2, 3, 5)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_lengths_are_rounded_up_and_padding_is_ignored(source, tokenizer):
    windows = [source._short(np.random.default_rng(seed)) for seed in range(3)]
    batch = collate(windows, tokenizer, np.random.default_rng(0), CLEAN)
    assert batch.phones.shape[1] % 16 == 0
    assert batch.tokens.shape[1] % 8 == 0
    for row, window in enumerate(windows):
        count = len(transcript(window, tokenizer)[0])
        assert (batch.targets[row, count:] == IGNORED).all()
        assert (batch.targets[row, :count] != IGNORED).all()


def test_a_recipe_may_count_minutes_instead_of_steps(speech, tokenizer, tmp_path):
    (tmp_path / "speech").symlink_to(speech)
    tokenizer.save_pretrained(tmp_path / "whisper-tokenizer")
    data = WhisperRecipe(data=CLEAN)
    recipe = Recipe(minutes=1e-6, changes=tiny_whisper.SETTINGS, training=data)
    made = train_whisper_nano(tmp_path, stage="recognizer", recipe=recipe)
    assert made["stages"]["recognizer"]["finished"]
    assert made["stages"]["recognizer"]["step"] < 3


@pytest.mark.slow
def test_every_stage_from_nothing(tmp_path, monkeypatch):
    once = [run for run in whisper_evaluate.RUNS if "int8" not in run[0]]
    greedy = [
        (name, how, settings | ({"beam_size": 1, "max_tokens": 8} if "fast" in how else {}))
        for name, how, settings in once
    ]
    monkeypatch.setattr(whisper_evaluate, "RUNS", greedy)
    try:
        flite()
    except InputError as problem:
        pytest.skip(f"no flite here: {problem.what}")
    recipe = Recipe(
        hours_of_speech=12 * 2.66 / 3600,
        hours_of_open_speech=6 * 2.66 / 3600,
        shard_utterances=6,
        made_shards=1,
        made_utterances=4,
        steps=3,
        sentences=4,
        changes=tiny_whisper.SETTINGS,
        training=WhisperRecipe(data=DataRecipe(utterances=2, windows=1)),
    )
    made = train_whisper_nano(tmp_path, recipe=recipe, threads=1)
    assert set(made["stages"]) == {"data", "own", "recognizer", "evaluate", "export"}
    folder = tmp_path / "models" / "whisper-nano"
    for where in (folder, folder / "ct2"):
        for line in (where / "SHA256SUMS").read_text().splitlines():
            digest, name = line.split("  ")
            assert sha256_of(where / name) == digest
    card = (folder / "README.md").read_text()
    assert "faster-whisper" in card
    assert "| csm-nano |" in card
    sound = Audio(flite().say("good morning", 0).samples, 24_000)
    for implementation in ("faster-whisper", "static"):
        recognizer = load_recognizer(str(folder), implementation=implementation, device="cpu")
        assert recognizer.transcribe(sound).weights == recognizer.weights
    results = json.loads((tmp_path / "whisper-results.json").read_text())
    assert {result["implementation"] for result in results} == {
        "faster-whisper",
        "static",
        "transformers",
    }


def test_stages_out_of_order_name_the_one_to_run_first(tmp_path):
    with pytest.raises(InputError, match="data"):
        train_whisper_nano(tmp_path, stage="recognizer")
    with pytest.raises(InputError, match="magic"):
        train_whisper_nano(tmp_path, stage="magic")
    with pytest.raises(InputError, match="recognizer"):
        train_whisper_nano(tmp_path, stage="export")


def test_a_hesitating_speaker_says_the_same_words(source, tokenizer):
    for seed, spoken in enumerate(source.utterances[:8]):
        parts = parted(spoken, np.random.default_rng(seed), pause=True, begun=False)
        assert 2 <= len(parts) <= 3
        assert np.concatenate([part.tokens for part in parts]).tolist() == spoken.tokens.tolist()
        assert sum(part.length for part in parts) == spoken.length
        for part in parts:
            assert tokenizer.decode(part.tokens).startswith(" ")
            assert len(part.samples()) == part.length
            assert abs(part.samples()[[0, -1]]).max() < 0.05
            assert 0 <= part.spans.min() <= part.spans.max() <= part.length
            phones, ends = part.phones()
            assert len(phones) == len(ends)
            assert ends[-1] == part.length
            assert (np.diff(ends) >= 0).all()


def test_who_has_begun_has_said_the_first_words(source, tokenizer):
    spoken = source.utterances[0]
    (part,) = parted(spoken, np.random.default_rng(0), pause=False, begun=True)
    text, begun = (tokenizer.decode(one.tokens) for one in (spoken, part))
    assert text.startswith(begun)
    assert 0 < len(begun) < len(text)
    assert part.length < spoken.length
    untimed = replace(spoken, spans=None)
    assert parted(untimed, np.random.default_rng(0), pause=True, begun=True) == [untimed]
    assert parted(spoken, np.random.default_rng(0), pause=False, begun=False) == [spoken]


def test_pauses_lie_between_the_parts_of_a_window(speech, tokenizer):
    hesitant = SpeechSource([speech], tokenizer, replace(CLEAN, pause_share=1, begun_share=0))
    window = hesitant._short(np.random.default_rng(3))
    assert len(window.parts) > 1
    gaps = [
        later - (at + int(part.length / tempo))
        for (part, at, tempo), (_, later, _) in pairwise(window.parts)
    ]
    assert all(0.15 * 24_000 <= gap <= 1.5 * 24_000 for gap in gaps)
    batch = collate([window], tokenizer, np.random.default_rng(0), CLEAN)
    part, at, tempo = window.parts[0]
    after = int(at + part.length / tempo) // PLACE + 2
    assert (batch.phones[0, after : after + 4] == PHONE_IDS["pau"]).all()
