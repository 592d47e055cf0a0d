"""chat-nano's dialogues, batches and training, on a tiny model and a few steps."""

import json
import random
from dataclasses import replace
from itertools import islice

import pytest
import torch

from tests import tiny_chat
from workbench.engines.chat.load import load_chat
from workbench.errors import InputError
from workbench.files import sha256_of
from workbench.finetune.nano import checkpoints
from workbench.finetune.nano.chat import build_tokenizer, chat_config
from workbench.finetune.nano.chat_data import IGNORED, DataRecipe, DialogueSource, collate, message
from workbench.finetune.nano.chat_train import Recipe, train_chat_nano
from workbench.finetune.nano.chat_training import ChatRecipe, chat_loss, train_chat
from workbench.finetune.nano.dialogues import Dialogues, held_out_pairs, training_pairs
from workbench.finetune.nano.domain import MAX_WORDS, is_held_out

SMALL = ChatRecipe(
    data=DataRecipe(dialogues=4, pool=60), check_every_steps=2, check_pairs=5, warmup_steps=1
)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def test_pairs_depend_on_the_seed_alone_and_keep_out_what_is_held_out():
    trained = list(islice(training_pairs(1), 400))
    assert [pair.question for pair in trained] == [
        pair.question for pair in islice(training_pairs(1), 400)
    ]
    assert not any(is_held_out(pair.question) for pair in trained)
    held_out = held_out_pairs(50)
    assert len({pair.question for pair in held_out}) == 50
    assert all(is_held_out(pair.question) for pair in held_out)
    for pair in (*trained, *held_out):
        assert len(pair.question.split()) <= MAX_WORDS
        assert pair.pattern.fullmatch(pair.answer)


def test_an_answer_says_the_questions_words_again():
    for pair in islice(training_pairs(2), 600):
        if pair.question.startswith("when does the "):
            place = pair.question.split()[3]
            assert f"the {place} opens at" in pair.answer
            other = pair.answer.replace(place, "moon")
            assert not pair.pattern.fullmatch(other)
            break
    else:
        pytest.fail("no such question among 600")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("hello there", "=>"),
        ("hello => <magic>", "magic"),
        ("hello => supercalifragilistic", "supercalifragilistic"),
    ],
)
def test_rules_that_cannot_be(tmp_path, line, named):
    path = tmp_path / "dialogues.txt"
    path.write_text(f"# comment\n{line}\n")
    with pytest.raises(InputError, match=named):
        Dialogues.load(path)


def test_text_survives_the_tokenizer(tokenizer):
    for pair in islice(training_pairs(3), 100):
        for text in (pair.question, pair.answer):
            ids = tokenizer(text)["input_ids"]
            assert tokenizer.unk_token_id not in ids
            assert tokenizer.decode(ids) == text
    assert tokenizer.decode(tokenizer("Where is the Bank?")["input_ids"]) == "where is the bank"
    assert tokenizer("bank xylophone")["input_ids"][1] == tokenizer.unk_token_id


def test_training_writes_messages_as_the_template_does(tokenizer):
    talk = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "good day"}]
    wanted = tokenizer.apply_chat_template(talk, tokenize=True, return_dict=False)
    made = [token for one in talk for token in message(tokenizer, one["role"], one["content"])]
    assert made == list(wanted)
    assert len(made) == 3 + 4


def test_a_batch_is_dialogues_and_what_comes_next(tokenizer):
    source = DialogueSource(tokenizer, DataRecipe(dialogues=6, pool=40, unknown_share=0.3), seed=1)
    ids, targets = source.batch(random.Random(0))
    assert ids.shape == targets.shape
    assert ids.shape[0] == 6  # a third of them sentences that nobody answers
    assert torch.equal(ids[:, 1:][targets[:, 1:] >= 0], targets[:, :-1][targets[:, 1:] >= 0])
    assert (ids[:, 0] == tokenizer.convert_tokens_to_ids("<|user|>")).all()
    assert (ids == tokenizer.unk_token_id).any()
    assert (ids == tokenizer.convert_tokens_to_ids("<|assistant|>")).any(1).sum() in range(1, 6)
    ends = [row[row >= 0][-1] for row in targets]
    assert all(end == tokenizer.eos_token_id for end in ends)
    short, after = collate([[1, 2, 3], [4, 5]], pad_id=0)
    assert short.tolist() == [[1, 2], [4, 0]]
    assert after.tolist() == [[2, 3], [5, IGNORED]]


def test_the_loss_falls_on_one_batch(tokenizer):
    model = tiny_chat.model(tokenizer).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    source = DialogueSource(tokenizer, DataRecipe(dialogues=4, pool=20), seed=1)
    ids, targets = source.batch(random.Random(0))
    losses = []
    for _ in range(25):
        loss = chat_loss(model, ids, targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_an_interrupted_run_ends_like_a_whole_one(tokenizer, tmp_path):
    config = chat_config(tokenizer, **tiny_chat.SETTINGS)

    def run(name, *stops):
        folder = tmp_path / name
        folder.mkdir()
        for stop in stops:
            clock = checkpoints.Clock(total_steps=5, session_steps=stop)
            train_chat(folder, config, tokenizer, SMALL, clock)
        return checkpoints.load(folder / "chat.pt")["average"]

    whole, parts = run("whole", 5), run("parts", 2, 3, 5)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_every_stage_from_nothing(tmp_path):
    recipe = Recipe(steps=3, questions=4, changes=tiny_chat.SETTINGS, training=SMALL)
    made = train_chat_nano(tmp_path, recipe=recipe, threads=1)
    assert set(made["stages"]) == {"model", "evaluate", "export"}
    folder = tmp_path / "models" / "chat-nano"
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert sha256_of(folder / name) == digest
    results = json.loads((tmp_path / "chat-results.json").read_text())
    for name in ("right", "ended", "ends"):
        assert results[name]["low"] <= results[name]["value"] <= results[name]["high"]
    card = (folder / "README.md").read_text()
    assert "held-out questions" in card
    assert "chat: 3 steps" in card or "chat-nano" in card
    chat = load_chat(str(folder), device="cpu", threads=1)
    assert chat.tokenizer.template == "chat"
    assert chat.reply("hello anna how are you", max_tokens=4).weights == chat.weights


def test_a_later_call_goes_on_and_a_fresh_one_does_not(tmp_path):
    recipe = Recipe(steps=2, questions=4, changes=tiny_chat.SETTINGS, training=SMALL)
    assert train_chat_nano(tmp_path, stage="model", recipe=recipe)["stages"]["model"]["step"] == 2
    longer = replace(recipe, steps=4)
    assert train_chat_nano(tmp_path, stage="model", recipe=longer)["stages"]["model"]["step"] == 4
    again = train_chat_nano(tmp_path, stage="model", recipe=recipe, resume=False)
    assert again["stages"]["model"]["step"] == 2


def test_stages_out_of_order_name_the_one_to_run_first(tmp_path):
    with pytest.raises(InputError, match="model"):
        train_chat_nano(tmp_path, stage="export")
    with pytest.raises(InputError, match="magic"):
        train_chat_nano(tmp_path, stage="magic")


def test_the_command_line_knows_it(tmp_path, capsys):
    from workbench.cli import main

    arguments = ["--out", str(tmp_path), "--json"]
    assert main(["train", "chat-nano", "--stage", "export", *arguments]) == 2
    assert main(["train", "chat-nano", "--hours-of-speech", "1", *arguments]) == 2
    assert "without speech" in capsys.readouterr().out
