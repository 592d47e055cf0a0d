"""Segments in files: what counts as finished after a crash, and what doesn't."""

import numpy as np
import pytest

from tests.reel.voices import Tones
from workbench.errors import OutputError
from workbench.reel.jobs import Job
from workbench.reel.lane import Lane
from workbench.reel.store import JOURNAL, SegmentStore


def takes(*texts):
    given = [Job(f"key{n}", text, 0, n) for n, text in enumerate(texts)]
    return list(Lane(Tones(), 1).speak(given))


def kept(folder, *texts):
    made = takes(*texts)
    with SegmentStore(folder) as store:
        for take in made:
            store.keep(take)
        store.wait()
    return made


def test_what_is_kept_comes_back_to_the_last_bit(tmp_path):
    made = kept(tmp_path, "one", "two")
    with SegmentStore(tmp_path) as store:
        assert set(store.finished()) == {"key0", "key1"}
        for take in made:
            assert np.array_equal(store.audio(take.key).samples, take.speech.samples)
            entry = store.entry(take.key)
            assert (entry.seed, entry.attempt, entry.ended) == (take.speech.seed, 1, "eos")
            assert entry.samples == len(take.speech)


@pytest.mark.parametrize("damage", ["gone", "changed", "torn", "foreign", "unnoted"])
def test_a_damaged_segment_isn_t_finished_and_the_others_are(damage, tmp_path):
    kept(tmp_path, "one", "two")
    file, journal = tmp_path / "key1.wav", tmp_path / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    if damage == "gone":
        file.unlink()
    elif damage == "changed":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "torn":
        journal.write_bytes(b"".join([lines[0], lines[1][:30]]))
    elif damage == "foreign":
        journal.write_bytes(lines[0] + b'{"version": 9}\n')
    else:
        journal.write_bytes(lines[0])
    with SegmentStore(tmp_path) as store:
        assert set(store.finished()) == {"key0"}
        store.keep(takes("one", "two")[1])
        store.wait()
    with SegmentStore(tmp_path) as store:
        assert set(store.finished()) == {"key0", "key1"}


def test_nothing_is_finished_in_a_new_folder(tmp_path):
    with SegmentStore(tmp_path / "new") as store:
        assert store.finished() == {}
    assert not (tmp_path / "new").exists()


def test_a_folder_that_can_t_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    # The error comes at once, or when it is waited for.
    with SegmentStore(tmp_path / "file") as store, pytest.raises(OutputError, match="file"):
        store.keep(takes("one")[0])
        store.wait()
