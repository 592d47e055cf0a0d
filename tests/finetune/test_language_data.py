import numpy as np
import pytest

from workbench.errors import InputError
from workbench.finetune.nano.codes import CHARACTER_IDS, CodedUtterance, label_all
from workbench.finetune.nano.dataset import generate
from workbench.finetune.nano.domain import is_held_out
from workbench.finetune.nano.language_data import (
    END_PHONE,
    CodeSource,
    DataRecipe,
    collate,
)
from workbench.finetune.nano.splicing import join, splice, text_of
from workbench.finetune.nano.tokenizer import BEGIN, END

CODEBOOKS = 3


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> CodeSource:
    folder = tmp_path_factory.mktemp("codes")
    try:
        generate(folder / "speech", hours=0.03, workers=1, shard_utterances=40)
    except InputError as problem:
        pytest.skip(f"no flite here: {problem.what}")
    label_all(folder / "speech", folder / "labels", CODEBOOKS)
    return CodeSource(folder / "labels", DataRecipe(utterances=6))


def check(utterance: CodedUtterance) -> None:
    frames, letters = len(utterance.codes), len(utterance.characters)
    assert len(utterance.phones) == frames
    assert len(utterance.times) == len(utterance.word_ends) == letters
    assert (np.diff(utterance.times[:, 0]) > -0.3).all()
    assert utterance.times[-1, 1] <= frames + 1
    assert (utterance.word_ends >= np.arange(letters)).all()
    assert utterance.word_ends.max() == letters - 1


def test_splices_are_utterances_at_word_boundaries(source) -> None:
    random = np.random.default_rng(0)
    words = {word for one in source.utterances for word in text_of(one).replace(",", "").split()}
    found = 0
    for left in source.utterances:
        right = source.utterances[random.integers(len(source.utterances))]
        spliced = splice(left, right, random)
        if spliced is not None:
            found += 1
            check(spliced)
            assert set(text_of(spliced).replace(",", "").split()) <= words
    assert found > 5


def test_joined_utterances_have_a_pause(source) -> None:
    left, right = source.utterances[:2]
    joined = join(left, right)
    check(joined)
    assert text_of(joined) == f"{text_of(left)}, {text_of(right)}"
    assert len(joined.codes) == len(left.codes) + len(right.codes)


def test_no_batch_holds_a_held_out_sentence(source) -> None:
    random = np.random.default_rng(1)
    for _ in range(100):
        for part in text_of(source._utterance(random)).split(", "):
            assert part == "" or not is_held_out(part)


def test_layout_of_a_conversation(source) -> None:
    first, second = source.utterances[:2]
    batch = collate([[first, second]], np.random.default_rng(0), corruption=0.0)
    text, frames = batch.text[0].tolist(), len(first.codes)
    letters = len(first.characters)
    assert text[:2] == [BEGIN, 5 + first.speaker]
    assert text[2 : 2 + letters] == [CHARACTER_IDS[character] for character in text_of(first)]
    assert text[2 + letters] == END
    start = 3 + letters
    assert batch.is_frame[0, start : start + frames + 1].all()
    assert not batch.is_frame[0, start + frames + 1]
    assert (batch.codes[0, start + frames] == 0).all()
    assert (batch.targets[0, start - 1 : start - 1 + frames] == 1).all()
    assert (batch.targets[0, start - 1 + frames] == 0).all()
    assert (batch.phones[0, start - 1 + frames] == END_PHONE).all()
    assert text[start + frames + 1 : start + frames + 3] == [BEGIN, 5 + second.speaker]


def test_guides_point_at_text_before_every_frame(source) -> None:
    batch = source.pool(np.random.default_rng(2))[0]
    rows, positions = (batch.targets[..., 0] >= 0).nonzero(as_tuple=True)
    for guide in range(3):
        looks = batch.guides[rows, guide, positions]
        assert (looks.sum(-1) >= 1).all()
        assert not looks[batch.is_frame[rows]].any()
        columns = np.arange(looks.shape[1])[None]
        assert (looks.numpy() * (columns > positions.numpy()[:, None])).sum() == 0
