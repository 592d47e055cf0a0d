import numpy as np
import pytest

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.quality.wer import (
    SphinxRecognizer,
    edit_distance,
    normalized_words,
    word_error_rate,
)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "distance"),
    [
        ("", "", 0),
        ("a b c", "a b c", 0),
        ("a b c", "", 3),
        ("", "a b", 2),
        ("a b c", "a x c", 1),
        ("a b c", "b c d", 2),
        ("the cat sat", "cat sat down", 2),
    ],
)
def test_edit_distance(reference: str, hypothesis: str, distance: int) -> None:
    assert edit_distance(reference.split(), hypothesis.split()) == distance


def test_words_are_normalized() -> None:
    assert normalized_words("Hello, WORLD — it’s 42 o'clock!") == [
        "hello",
        "world",
        "it's",
        "four",
        "two",
        "o'clock",
    ]
    assert normalized_words("Déjà vu ' ") == ["deja", "vu"]


def test_rate_counts_all_errors_over_all_words() -> None:
    rate = word_error_rate(["a b c d", "e f"], ["a x c d", "e f g h"])
    assert rate.errors == 3
    assert rate.words == 6
    assert rate.sentences == 2
    assert rate.value == 0.5
    assert rate.interval[0] <= rate.value <= rate.interval[1]


def test_rate_is_the_same_every_time() -> None:
    references = [f"a b c {i}" for i in range(20)]
    hypotheses = [f"a {'x' if i % 3 else 'b'} c {i}" for i in range(20)]
    assert word_error_rate(references, hypotheses) == word_error_rate(references, hypotheses)


def test_equal_texts_have_no_error() -> None:
    rate = word_error_rate(["Good morning, Anna!"], ["good morning anna"])
    assert (rate.value, rate.interval) == (0.0, (0.0, 0.0))


def test_lists_must_match_and_hold_words() -> None:
    with pytest.raises(InputError):
        word_error_rate(["a"], [])
    with pytest.raises(InputError):
        word_error_rate(["..."], ["a"])


def test_recognizer_hears_nothing_in_silence() -> None:
    recognizer = SphinxRecognizer()
    assert recognizer.transcribe(Audio(np.zeros(24_000, np.float32), 24_000)) == ""


def test_recognizer_needs_its_files(tmp_path) -> None:
    with pytest.raises(InputError, match="no file"):
        SphinxRecognizer(dictionary=tmp_path / "none.dict")
