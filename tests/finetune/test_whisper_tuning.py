import json
import shutil

import numpy as np
import pytest
import torch
from transformers import WhisperTokenizerFast

from tests.finetune.sounds import WORDS, recordings
from workbench.audio import Audio
from workbench.engines.asr.load import load_recognizer
from workbench.errors import InputError
from workbench.finetune.recordings import Recording, read_recordings
from workbench.finetune.whisper.data import Heard, collate, labels
from workbench.finetune.whisper.evaluate import AFTER, BEFORE, Condition, WhisperResult
from workbench.finetune.whisper.fresh import fresh_whisper
from workbench.finetune.whisper.train import WhisperRecipe, finetune_whisper, load
from workbench.models.whisper.find import find_whisper


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voice")
    recordings(folder, 4)
    return folder


@pytest.fixture(scope="module")
def parts(whisper_folder):
    return load(find_whisper(str(whisper_folder), "transformers"), "en")


@pytest.fixture(scope="module")
def tuned(whisper_folder, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("tuned")
    recipe = WhisperRecipe(
        epochs=3, batch=2, rate=3e-3, warmup_steps=1, noise_share=0.0, checkpointing=True
    )
    some = {"base": str(whisper_folder), "replay": read_recordings(data)[:1], "device": "cpu"}
    done = finetune_whisper(data, out, recipe=recipe, **some)
    return out, done


def test_labels_are_what_the_tokenizer_writes_after_the_start(whisper_folder, parts):
    tokenizer = parts[2]
    start = tokenizer.convert_tokens_to_ids("<|startoftranscript|>")
    for text in WORDS:
        assert [start, *labels(tokenizer, text)] == tokenizer(f" {text}")["input_ids"]
    again = WhisperTokenizerFast.from_pretrained(whisper_folder)
    assert again.decode(labels(again, "good morning"), skip_special_tokens=True) == " good morning"


def test_features_are_the_engine_s_and_noise_is_drawn_anew(data, parts):
    _, features, tokenizer = parts
    recordings_ = read_recordings(data)
    plain = Heard(recordings_, features, tokenizer, longest=448)
    audio = Audio.read(recordings_[0].path).resampled(16_000)
    wanted = features(audio.samples, sampling_rate=16_000, return_tensors="pt").input_features
    assert torch.equal(plain[0]["input_features"], wanted[0])
    assert torch.equal(plain[0]["input_features"], plain[0]["input_features"])
    noisy = Heard(recordings_, features, tokenizer, longest=448, noise_share=1.0)
    first, second = noisy[0]["input_features"], noisy[0]["input_features"]
    assert not torch.equal(first, second)
    batch = collate([plain[0], plain[1]])
    assert batch["input_features"].shape == (2, 80, 3000)
    sizes = [len(plain[place]["labels"]) for place in (0, 1)]
    assert [int((row != -100).sum()) for row in batch["labels"]] == sizes


def test_recordings_of_no_use_are_named(tmp_path, parts):
    _, features, tokenizer = parts
    Audio(np.zeros(8_000 * 31, np.float32), 8_000).write(tmp_path / "a.wav")
    long = Heard([Recording(tmp_path / "a.wav", "hello")], features, tokenizer, longest=448)
    with pytest.raises(InputError, match=r"31\.0 s"):
        long[0]
    with pytest.raises(InputError, match="tokens, more than 5"):
        Heard([Recording(tmp_path / "a.wav", "one two three")], features, tokenizer, longest=5)


def test_training_lowers_the_loss_and_both_layouts_load(tuned, data):
    out, done = tuned
    assert len(done["held_out"]) == 3
    lines = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["stage"] == "train"]
    assert losses[-1] < losses[0]
    audio = Audio.read(read_recordings(data)[0].path)
    for implementation in ("faster-whisper", "static", "transformers"):
        recognizer = load_recognizer(
            str(out / "model"), implementation=implementation, device="cpu", threads=1, max_tokens=6
        )
        assert recognizer.transcribe(audio).duration_s == audio.duration_s
    assert not (out / "checkpoints").exists()
    assert done["steps"] == 3 * 2  # 3 trained on and 1 replayed, by twos
    assert "3 epochs" in (out / "model" / "README.md").read_text()


def test_a_run_that_was_ended_goes_on_from_its_last_epoch(
    whisper_folder, data, tmp_path, monkeypatch
):
    from transformers import Seq2SeqTrainer

    recipe = WhisperRecipe(epochs=2, batch=4, warmup_steps=1)
    base = str(whisper_folder)
    save = Seq2SeqTrainer._save_checkpoint

    def ended(self, *args, **kwargs):
        save(self, *args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Seq2SeqTrainer, "_save_checkpoint", ended)
        with pytest.raises(KeyboardInterrupt):
            finetune_whisper(data, tmp_path, base=base, device="cpu", recipe=recipe)
    done = finetune_whisper(data, tmp_path, base=base, device="cpu", recipe=recipe)
    assert done["resumed"]
    assert len(done["held_out"]) == 2


def test_conditions_say_what_changed():
    texts = ("good morning", "the red house", "see you soon")
    wrong, right = ("a", "b", "c"), texts
    better = Condition(texts * 3, {BEFORE: wrong * 3, AFTER: right * 3})
    same = Condition(texts, {BEFORE: right, AFTER: right})
    assert better.relative == 1.0
    assert same.relative == 0.0
    result = WhisperResult({"own voice": better, "before": same})
    assert result.better
    assert "own voice: word error rate 1.000 to 0.000" in result.finding
    assert [row["recordings"] for row in result.rows()] == ["own voice", "before"]
    assert not WhisperResult({"before": same}).better


def test_fresh_weights_load(tmp_path, whisper_folder):
    folder = fresh_whisper(tmp_path / "fresh", d_model=32, encoder_layers=1, decoder_layers=1)
    recognizer = load_recognizer(str(folder), device="cpu", threads=1, max_tokens=4)
    assert recognizer.transcribe(Audio(np.ones(8_000, np.float32) * 0.1, 16_000)).model == "fresh"
    shutil.rmtree(folder / "ct2")
    with pytest.raises(InputError, match="at least two"):
        recordings(tmp_path / "one", 1)
        finetune_whisper(tmp_path / "one", tmp_path / "out", base=str(folder), device="cpu")
