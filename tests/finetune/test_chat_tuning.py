import json

import pytest
import torch
from transformers import AutoTokenizer

from tests import tiny_chat
from workbench.engines.chat.load import load_chat
from workbench.errors import InputError
from workbench.finetune.chat.train import (
    ChatRecipe,
    Pair,
    collate,
    encoded,
    finetune_chat,
    read_pairs,
)

PAIRS = [
    ("good morning", "good morning, how are you"),
    ("how are you", "very well, thank you"),
    ("where is the red house", "near the river"),
    ("see you soon", "see you soon"),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_chat.folder(tmp_path_factory.mktemp("chat") / "tiny-chat")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = [{"question": question, "answer": answer} for question, answer in PAIRS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_only_the_answer_counts(base):
    tokenizer = AutoTokenizer.from_pretrained(base)
    row = encoded(tokenizer, Pair("good morning", "near the river"))
    whole = tokenizer.apply_chat_template(
        [
            {"role": "user", "content": "good morning"},
            {"role": "assistant", "content": "near the river"},
        ],
        tokenize=False,
    )
    assert row["input_ids"] == tokenizer(whole, add_special_tokens=False)["input_ids"]
    answer = [token for token in row["labels"] if token != -100]
    assert tokenizer.decode(answer, skip_special_tokens=True) == "near the river"
    assert answer[-1] == tokenizer.eos_token_id
    batch = collate([row, {"input_ids": [1], "labels": [-100]}], pad=0)
    assert torch.equal(batch["attention_mask"].sum(1), torch.tensor([len(row["labels"]), 1]))
    assert (batch["labels"][1] == -100).all()


def test_training_lowers_the_loss_and_the_merged_model_answers(base, pairs, tmp_path):
    recipe = ChatRecipe(epochs=4, batch=2, rate=1e-2, warmup_steps=1, rank=4)
    done = finetune_chat(pairs, tmp_path, base=str(base), device="cpu", recipe=recipe)
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["stage"] == "train"]
    assert losses[-1] < losses[0]
    assert len(done["held_out"]) == 4
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
    before = load_chat(str(base), device="cpu", threads=1)
    after = load_chat(str(tmp_path / "model"), device="cpu", threads=1)
    said = [chat.reply("good morning", max_tokens=8).text for chat in (before, after)]
    assert said[0] != said[1]


@pytest.mark.parametrize("line", ["no json", '{"question": "a"}', '["a", "b"]'])
def test_bad_pairs_are_named(tmp_path, line):
    path = tmp_path / "pairs.jsonl"
    path.write_text(f'{{"question": "a", "answer": "b"}}\n{line}\n')
    with pytest.raises(InputError, match="line 2"):
        read_pairs(path)
    path.write_text('{"question": "a", "answer": " "}\n')
    with pytest.raises(InputError, match="line 1 is empty"):
        read_pairs(path)
    with pytest.raises(InputError, match="no file"):
        read_pairs(tmp_path / "none.jsonl")


def test_a_model_without_a_template_is_refused(pairs, tmp_path):
    bare = tiny_chat.folder(tmp_path / "bare", template=False)
    with pytest.raises(InputError, match="chat template"):
        finetune_chat(pairs, tmp_path / "out", base=str(bare), device="cpu")
