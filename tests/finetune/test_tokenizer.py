import numpy as np
import pytest

from workbench.finetune.nano.codes import CHARACTER_IDS
from workbench.finetune.nano.domain import held_out_sentences
from workbench.finetune.nano.tokenizer import (
    AUDIO,
    AUDIO_END,
    BEGIN,
    END,
    TEXT_VOCABULARY,
    build_processor,
    build_tokenizer,
)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def test_sentences_come_back(tokenizer) -> None:
    for text in held_out_sentences(20):
        ids = tokenizer(f"[2]{text}")["input_ids"]
        assert ids[0] == BEGIN
        assert ids[-1] == END
        assert tokenizer.decode(ids[2:-1]) == text
        assert ids[2:-1] == [CHARACTER_IDS[character] for character in text]


@pytest.mark.parametrize("speaker", range(10))
def test_speaker_tags_are_one_token(tokenizer, speaker: int) -> None:
    ids = tokenizer(f"[{speaker}]Hi")["input_ids"]
    assert ids[1] == 5 + speaker
    assert len(ids) == 5


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Hello, World!", "hello, world"),
        ("It’s 5 o'clock.", "it's five o'clock"),
        ("Wait… what?", "wait, what"),
        ("déjà vu & more", "deja vu and more"),
        ("日本 \u0007 ok", "ok"),
        ("  many   spaces ", "many spaces"),
    ],
)
def test_text_is_normalized(tokenizer, text: str, spoken: str) -> None:
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == spoken


def test_all_ids_have_embeddings(tokenizer) -> None:
    assert len(tokenizer) <= TEXT_VOCABULARY


def test_stock_processor_lays_out_a_conversation(tmp_path) -> None:
    from transformers import CsmProcessor

    build_processor().save_pretrained(tmp_path)
    processor = CsmProcessor.from_pretrained(tmp_path)
    sound = {"type": "audio", "path": np.zeros(24_000, np.float32)}
    turns = [
        {"role": "1", "content": [{"type": "text", "text": "Hi."}, sound]},
        {"role": "0", "content": [{"type": "text", "text": "Bye"}]},
    ]
    ids = processor.apply_chat_template(turns, tokenize=True, return_dict=True)["input_ids"][0]
    letters = CHARACTER_IDS
    assert ids.tolist() == [
        *(BEGIN, 6, letters["h"], letters["i"], END),
        *([AUDIO] * 13),
        AUDIO_END,
        *(BEGIN, 5, letters["b"], letters["y"], letters["e"], END),
    ]
