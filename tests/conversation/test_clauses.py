"""A growing answer is cut the same way however it comes, and nothing of it is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.conversation.clauses import ClauseCutter
from workbench.errors import InputError

TEXTS = st.lists(
    st.sampled_from(
        ["yes", "3.5", "left,", "end.", "really?", "a", "the", "…", "-", "u.s.", '"no."']
    ),
    max_size=40,
).map(" ".join)


def cut(pieces, **settings):
    cutter = ClauseCutter(**settings)
    found = [clause for piece in pieces for clause in cutter.feed(piece)]
    return [*found, *([rest] if (rest := cutter.rest()) else [])]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("good morning. how are you?", ["good morning.", "how are you?"]),
        ("yes, turn left at the museum", ["yes, turn left at the museum"]),
        ("turn left there, then right", ["turn left there,", "then right"]),
        ("it costs 3.5 dollars", ["it costs 3.5 dollars"]),
        ('he said "go." and left', ['he said "go."', "and left"]),
        (" ".join("abcdefghijklmn"), [" ".join("abcdefghijkl"), "m n"]),
        ("… - !", []),
        ("", []),
    ],
)
def test_where_it_cuts(text, clauses):
    assert cut([text]) == clauses
    assert cut(list(text)) == clauses


@given(TEXTS, st.integers(1, 7))
def test_pieces_make_no_difference_and_no_word_is_lost(text, size):
    whole = cut([text])
    assert cut([text[at : at + size] for at in range(0, len(text), size)]) == whole
    spoken = [word for word in text.split() if any(map(str.isalnum, word))]
    assert [w for w in " ".join(whole).split() if any(map(str.isalnum, w))] == spoken
    assert all(len(clause.split()) <= 12 for clause in whole)


def test_limits_are_checked():
    with pytest.raises(InputError, match="min_words"):
        ClauseCutter(5, 3)
