import itertools
from collections import Counter

import pytest

from workbench.errors import InputError
from workbench.finetune.nano.domain import (
    MAX_WORDS,
    Grammar,
    held_out_sentences,
    is_held_out,
    open_sentences,
    open_words,
    training_sentences,
)
from workbench.finetune.nano.recognition import arpa, dictionary
from workbench.paths import data_dir


def first(count: int, seed: int = 1) -> list[str]:
    return list(itertools.islice(training_sentences(seed), count))


def test_sentences_depend_on_the_seed_alone() -> None:
    assert first(50) == first(50)
    assert first(50) != first(50, seed=2)
    assert held_out_sentences(30) == held_out_sentences(30)


def test_training_and_held_out_sentences_are_disjoint() -> None:
    held_out = held_out_sentences(200)
    assert len(set(held_out)) == 200
    assert all(is_held_out(text) for text in held_out)
    trained = first(1500)
    assert not any(is_held_out(text) for text in trained)
    assert not set(held_out) & set(trained)


def test_every_word_is_trained_often() -> None:
    counts = Counter(word for text in first(3000) for word in text.replace(",", "").split())
    words = set(Grammar.load().words)
    assert words <= set(counts)
    assert min(counts[word] for word in words) >= 3


def test_sentences_are_short_plain_text() -> None:
    for text in first(300):
        assert 1 <= len(text.split()) <= MAX_WORDS
        assert set(text) <= set("abcdefghijklmnopqrstuvwxyz ',")


def test_a_grammar_with_a_hole_is_refused(tmp_path) -> None:
    path = tmp_path / "grammar.txt"
    path.write_text("sentence = hello <nobody>\n")
    with pytest.raises(InputError, match="nobody"):
        Grammar.load(path)


def test_the_bigram_model_adds_up() -> None:
    text = arpa([["a", "b"], ["a", "c"], ["b"]], ["a", "b", "c"])
    lines = [line.split("\t") for line in text.splitlines() if "\t" in line]
    unigrams = {line[1]: (float(line[0]), float(line[2])) for line in lines if len(line) == 3}
    pairs = {tuple(line[1].split()): float(line[0]) for line in lines if len(line) == 2}
    for history in ("<s>", "a", "b"):
        total = 0.0
        for word in ("a", "b", "c", "</s>"):
            if (history, word) in pairs:
                total += 10 ** pairs[history, word]
            else:
                total += 10 ** (unigrams[history][1] + unigrams[word][0])
        assert total == pytest.approx(1.0, abs=2e-3)


def test_words_without_pronunciation_are_named() -> None:
    with pytest.raises(InputError, match="xyzzyq"):
        dictionary(["hello", "xyzzyq"])


def test_shipped_files_are_those_of_the_grammar() -> None:
    folder = data_dir() / "nano"
    shipped = (folder / "held-out.txt").read_text().splitlines()
    assert shipped == held_out_sentences(200)
    known = {line.split()[0].split("(")[0] for line in (folder / "domain.dict").open()}
    assert set(Grammar.load().words) == known


def test_open_sentences_are_known_words() -> None:
    words = {*open_words(), *Grammar.load().words}
    for text in itertools.islice(open_sentences(4), 50):
        assert set(text.split()) <= words
