import numpy as np
import pytest

from workbench.errors import InputError
from workbench.finetune.nano.codec import FRAME_SAMPLES
from workbench.finetune.nano.codes import character_times
from workbench.finetune.nano.crops import frame_phones
from workbench.finetune.nano.dataset import Shard, generate, shard_numbers
from workbench.finetune.nano.speech import PHONES, VOICES, flite


@pytest.fixture(scope="module")
def speech():
    try:
        return flite()
    except InputError as problem:
        pytest.skip(f"no flite here: {problem.what}")


@pytest.mark.parametrize("speaker", range(len(VOICES)))
def test_labels_cover_the_sound(speech, speaker: int) -> None:
    utterance = speech.say("it's seven o'clock, good night", speaker)
    assert utterance.phone_ends[-1] == len(utterance.samples)
    assert (np.diff(utterance.phone_ends) >= 0).all()
    assert len(utterance.phones) == len(utterance.phone_ends) == len(utterance.phone_words)
    assert sorted(set(utterance.phone_words[utterance.phone_words >= 0])) == [0, 1, 2, 3, 4]
    assert np.abs(utterance.samples).max() > 0.05


def test_labels_are_the_same_every_time(speech) -> None:
    first, second = (speech.say("hello anna", 1) for _ in range(2))  # the sound has noise in it
    assert np.array_equal(first.phone_ends, second.phone_ends)
    assert len(first.samples) == len(second.samples)


def test_words_that_flite_reads_otherwise_are_refused(speech) -> None:
    with pytest.raises(InputError, match="other words"):
        speech.say("", 0)


def test_frame_phones_follow_their_ends() -> None:
    phones = np.array([0, 5, 7], np.uint8)
    ends = np.array([480, 1920, 3840])
    labels = frame_phones(phones, ends, 3)
    assert labels.tolist() == [[0, 5, 5, 5], [7, 7, 7, 7], [0, 0, 0, 0]]
    later = frame_phones(phones, ends, 2, start=-FRAME_SAMPLES)
    assert later.tolist() == [[0, 0, 0, 0], [0, 5, 5, 5]]


def test_letters_share_their_word_s_time(speech) -> None:
    utterance = speech.say("hello anna, how are you", 0)
    times, word_ends = character_times(utterance, offset=0)
    text = utterance.text
    assert len(times) == len(word_ends) == len(text)
    assert (np.diff(times[:, 0]) >= -1e-9).all()
    assert (times[:, 1] >= times[:, 0]).all()
    assert word_ends[text.index("hello")] == 4
    assert word_ends[text.index("anna")] == text.index("anna") + 3
    starts = np.concatenate([[0], utterance.phone_ends[:-1]])
    spoken = utterance.phone_words == 4
    assert times[-1, 1] * FRAME_SAMPLES == pytest.approx(utterance.phone_ends[spoken][-1])
    assert times[text.index("you"), 0] * FRAME_SAMPLES == pytest.approx(starts[spoken][0])


def test_shards_hold_what_was_said(speech, tmp_path) -> None:
    assert not generate(tmp_path, 0.01, workers=1, shard_utterances=8, session_s=0)
    assert shard_numbers(tmp_path) == []
    assert generate(tmp_path, 0.01, workers=1, shard_utterances=8)
    assert shard_numbers(tmp_path) == [0, 1]
    shard = Shard.read(tmp_path, 0)
    utterance = shard.utterance(3)
    again = speech.say(utterance.text, utterance.speaker)
    assert len(utterance.samples) == len(again.samples)
    assert np.array_equal(utterance.phone_ends, again.phone_ends)
    assert PHONES[utterance.phones[0]] == "pau"
