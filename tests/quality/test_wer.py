import numpy as np
import pytest

from workbench.errors import InputError
from workbench.quality.wer import (
    character_error_rate,
    edit_distance,
    normalized_words,
    signed,
    word_error_increase,
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


def test_characters_forgive_what_is_almost_right() -> None:
    rate = character_error_rate(["The cat sat!"], ["the cut sat"])
    assert (rate.errors, rate.characters) == (1, 11)
    assert word_error_rate(["The cat sat!"], ["the cut sat"]).value == pytest.approx(1 / 3)
    assert character_error_rate(["the cat"], [""]).value == 1
    assert rate.interval[0] <= rate.value <= rate.interval[1]


def test_clips_of_one_sentence_are_drawn_together() -> None:
    references = ["a b c", "d e f"] * 10
    rate = word_error_rate(references, ["a b c", "x x x"] * 10)
    assert (rate.errors, rate.words, rate.sentences) == (30, 60, 2)
    assert rate.interval == (0, 1)  # two sentences tell next to nothing, however often said


def sentences(count: int, words: int = 8) -> list[str]:
    letters = "abcdefghij"
    return [
        " ".join(f"{letters[i // 10]}{letters[i % 10]}{letters[w]}" for w in range(words))
        for i in range(count)
    ]


def with_errors(texts: list[str], share: float, seed: int) -> list[str]:
    source = np.random.default_rng(seed)
    return [
        " ".join("wrong" if source.random() < share else word for word in text.split())
        for text in texts
    ]


def test_a_rise_is_found_and_none_is_not() -> None:
    texts = sentences(60)
    before = with_errors(texts, 0.05, seed=1)
    worse = word_error_increase(texts, before, with_errors(texts, 0.25, seed=2))
    assert worse.interval[0] > 0.1
    assert worse.interval[0] < worse.value < worse.interval[1]
    same = word_error_increase(texts, before, with_errors(texts, 0.05, seed=3))
    assert same.interval[0] < 0 < same.interval[1]
    better = word_error_increase(texts, with_errors(texts, 0.25, seed=2), before)
    assert better.value == pytest.approx(-worse.value)


def test_what_is_hard_for_both_cancels_out() -> None:
    texts = sentences(40)
    heard = [text if i % 2 else "all wrong" for i, text in enumerate(texts)]
    rate = word_error_rate(texts, heard)
    assert rate.interval[1] - rate.interval[0] > 0.25
    increase = word_error_increase(texts, heard, heard)
    assert increase.value == 0
    assert increase.interval == pytest.approx((-3 / 320, 3 / 320))


def test_few_sentences_without_an_error_still_allow_some() -> None:
    texts = sentences(5)
    assert word_error_increase(texts, texts, texts).interval == pytest.approx((-0.075, 0.075))


def test_the_interval_covers_as_often_as_it_says() -> None:
    texts = sentences(20)
    covered = 0
    for seed in range(200):
        before, after = (
            with_errors(texts, share, seed=1000 * (1 + k) + seed)
            for k, share in enumerate((0.03, 0.06))
        )
        low, high = word_error_increase(texts, before, after).interval
        covered += low <= 0.03 <= high
    assert covered >= 182  # 190 to be expected; one in 200 sets of seeds would give less


def test_rates_are_written_with_their_sign() -> None:
    assert [signed(value) for value in (0.012, -0.012, 0.0, -0.001)] == [
        "+0.01",
        "−0.01",
        "0.00",
        "0.00",
    ]
    texts = sentences(5)
    assert str(word_error_increase(texts, texts, texts)) == "0.00, −0.07 to +0.07"
