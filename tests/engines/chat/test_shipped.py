"""chat-nano as it is shipped: it answers in the nano domain, and knows where sentences end."""

import pytest

from workbench.engines.chat.load import load_chat, load_judge


@pytest.fixture(scope="module")
def chat():
    return load_chat("chat-nano", device="cpu", threads=1)


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ("what's the weather in london tomorrow", "london"),
        ("remind me to call my sister tonight", "sister"),
        ("where is the nearest market", "market"),
    ],
)
def test_it_answers_with_the_questions_words(asked, word, chat):
    reply = chat.reply(asked)
    assert word in reply.text
    assert reply.ended == "eos"
    assert 2 < reply.tokens < 24


def test_it_streams_word_by_word(chat):
    chunks = [chunk.text for chunk in chat.stream("where is the nearest market")]
    assert len(chunks) > 3
    assert "".join(chunks) == chat.reply("where is the nearest market").text


def test_it_tells_a_whole_sentence_from_a_part(chat):
    judge = load_judge("chat-nano", device="cpu", threads=1)
    whole = "could you show me the way to the station"
    parts = [" ".join(whole.split()[:count]) for count in (2, 4, 6, 8)]
    assert judge.probability(whole) > 0.5 > max(judge.probability(part) for part in parts)
