"""Text from tokens as they come: characters whole, spaces kept, stop texts left out."""

import pytest

from workbench.models.chat.text import Detokenizer, StopText

PIECES = [b"h", b"e", b"y", b" ", "é".encode()[:1], "é".encode()[1:], b"!", "ß".encode()[:1]]


def as_bytes(tokens):
    return b"".join(PIECES[token] for token in tokens).decode(errors="replace")


def as_words(tokens):
    """A word-level decoder: the space before a word is known only with the word before."""
    return " ".join(f"w{token}" for token in tokens)


def test_half_characters_wait_for_their_other_half():
    made = Detokenizer(as_bytes)
    assert [made.feed(token) for token in range(7)] == ["h", "e", "y", " ", "", "é", "!"]
    assert made.rest() == ""


def test_half_a_character_at_the_end_is_shown_as_what_it_is():
    made = Detokenizer(as_bytes)
    assert "".join(made.feed(token) for token in (0, 7)) == "h"
    assert made.rest() == "\ufffd"
    assert made.rest() == ""


def test_pieces_together_are_the_whole_with_its_spaces():
    made = Detokenizer(as_words)
    tokens = list(range(9))
    assert "".join(made.feed(token) for token in tokens) == as_words(tokens)


def stopped(stops, pieces):
    filter_ = StopText(stops)
    shown = []
    for piece in pieces:
        shown.append(filter_.feed(piece))
        if filter_.met:
            break
    return shown, filter_


@pytest.mark.parametrize(
    ("stops", "pieces", "shown"),
    [
        ([], ["ab", "cd"], ["ab", "cd"]),
        (["END"], ["ab", "E", "ND", "x"], ["ab", "", ""]),
        (["END"], ["abEN", "ough"], ["ab", "ENough"]),
        (["END"], ["abENDcd"], ["ab"]),
        (["END", "\n"], ["ab", "c\nENDd"], ["ab", "c"]),
        (["aab"], ["aa", "ab"], ["", "a"]),
    ],
)
def test_stop_texts(stops, pieces, shown):
    assert stopped(stops, pieces)[0] == shown


def test_what_might_have_been_a_stop_text_comes_out_at_the_end():
    shown, filter_ = stopped(["END"], ["ab", "EN"])
    assert shown == ["ab", ""]
    assert filter_.rest() == "EN"
    assert not filter_.met
