"""Long references: chunks of whole pieces, with their words."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reel.voices import parse_script
from workbench.audio import Audio
from workbench.engines.speech import Reference
from workbench.reel.references import CHUNK_S, chunked, references_of

RATE_HZ = 8_000


def speech(pieces):
    """(seconds of tone, seconds of silence) …"""
    parts = []
    for loud_s, quiet_s in pieces:
        time_s = np.arange(round(loud_s * RATE_HZ)) / RATE_HZ
        parts += [0.3 * np.sin(2 * np.pi * 300 * time_s), np.zeros(round(quiet_s * RATE_HZ))]
    return Audio(np.concatenate(parts), RATE_HZ)


def test_a_short_one_stays_whole():
    reference = Reference(speech([(3, 0.5)]), "some words", 2)
    assert chunked(reference) == [reference]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.floats(0.3, 4), st.floats(0, 0.6)), min_size=1, max_size=12),
    st.integers(0, 40),
)
def test_nothing_is_lost_and_no_chunk_is_too_long(pieces, words):
    text = " ".join(f"w{number}" for number in range(words))
    reference = Reference(speech(pieces), text)
    chunks = chunked(reference)
    joined = np.concatenate([one.audio.samples for one in chunks])
    assert np.array_equal(joined, reference.audio.samples)
    assert " ".join(one.text for one in chunks if one.text) == text
    assert all(0 < one.audio.duration_s <= CHUNK_S for one in chunks)


def test_cuts_fall_into_silence_and_words_go_with_their_sound():
    reference = Reference(speech([(8, 0.5), (8, 0.5), (4, 0)]), "aa bb cc dd ee ff gg hh ii jj")
    chunks = chunked(reference)
    assert len(chunks) == 3
    for before, after in pairwise(chunks):
        assert np.abs(before.audio.samples[-100:]).max() == 0
        assert np.abs(after.audio.samples[:100]).max() == 0
    assert [one.text for one in chunks] == ["aa bb cc dd", "ee ff gg hh", "ii jj"]


def test_a_speaker_s_references_are_bounded_and_what_is_left_out_is_said(tmp_path):
    speech([(5, 0.5)] * 6).write(tmp_path / "a.wav")
    said = parse_script(
        {
            "reference_s": 20,
            "speakers": {
                "anna": {"voice": 3, "references": [{"audio": str(tmp_path / "a.wav")}]},
                "ben": {},
            },
            "segments": [{"speaker": "anna", "text": "hi"}],
        }
    )
    chunks, left_out = references_of(said, "anna")
    assert 5 < sum(one.audio.duration_s for one in chunks) <= 20
    assert {one.voice for one in chunks} == {3}
    assert "of 33.0 s" in left_out
    assert references_of(said, "ben") == ([], "")


def test_a_missing_reference_is_named(tmp_path):
    from workbench.errors import InputError

    speakers = {"anna": {"references": [{"audio": str(tmp_path / "none.wav")}]}}
    said = parse_script({"speakers": speakers, "segments": [{"speaker": "anna", "text": "hi"}]})
    with pytest.raises(InputError, match="none.wav"):
        references_of(said, "anna")
