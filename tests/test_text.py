import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InputError
from workbench.text import MAX_TEXT_CHARS, checked, segments, sentences


@pytest.mark.parametrize("text", ["", "   \n", "...", "?!"])
def test_nothing_to_say_is_refused(text):
    with pytest.raises(InputError, match=r"empty|nothing to say"):
        checked(text)


def test_too_long_names_the_limit():
    with pytest.raises(InputError, match="100,000 characters"):
        checked("a" * 100_000)
    assert len(checked("a" * MAX_TEXT_CHARS)) == MAX_TEXT_CHARS


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\ud800"])
def test_control_characters_are_named_with_their_place(character):
    with pytest.raises(InputError, match=f"U\\+{ord(character):04X} at 2"):
        checked(f"hi{character}")


def test_white_space_is_collapsed_and_unicode_composed():
    assert checked(" cafe\u0301\n au\tlait ") == "café au lait"


def test_sentences():
    assert sentences("Good morning. How are you? Fine!") == [
        "Good morning.",
        "How are you?",
        "Fine!",
    ]
    assert sentences("version 2.5 is out") == ["version 2.5 is out"]


@given(st.text(alphabet='abc. ,!?"é', min_size=1, max_size=300), st.integers(5, 80))
def test_segments_keep_every_word_in_order(text, chars):
    try:
        text = checked(text)
    except InputError:
        return
    parts = segments(text, chars)
    letters = [character for part in parts for character in part if character.isalpha()]
    assert letters == [character for character in text if character.isalpha()]
    assert all(len(part) <= chars or " " not in part for part in parts)
    assert all(any(character.isalnum() for character in part) for part in parts)
