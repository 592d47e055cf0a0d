"""A clip says in its file that it is synthetic, in every format."""

import numpy as np
import pytest
import soundfile

from tests.studies.voices import speech
from workbench.audio import Audio
from workbench.cloning.assessment import Assessment
from workbench.cloning.mark import TITLE, provenance, read_mark, write_marked
from workbench.cloning.references import PreparedVoice
from workbench.engines.speech import Reference
from workbench.errors import InputError


@pytest.fixture
def mark():
    reference = Reference(Audio(np.ones(2_400), 24_000), "hello")
    voice = PreparedVoice("a.wav", "ab" * 32, "my own – voice", Assessment("a.wav"), (reference,))
    return provenance(speech("ba be"), "csm-nano", [voice])


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_the_mark_comes_back(mark, suffix, tmp_path):
    path = write_marked(tmp_path / f"a.{suffix}", speech("ba be"), mark)
    assert read_mark(path) == mark
    with soundfile.SoundFile(path) as file:
        assert file.title == TITLE
    assert mark["synthetic"] is True
    assert mark["references"] == [{"sha256": "ab" * 32, "consent": "my own – voice"}]
    assert Audio.read(path).duration_s == pytest.approx(speech("ba be").duration_s, abs=0.06)


def test_the_sound_is_that_of_any_other_file(mark, tmp_path):
    clip = speech("ba be")
    write_marked(tmp_path / "a.wav", clip, mark)
    clip.write(tmp_path / "b.wav")
    assert read_mark(tmp_path / "b.wav") is None
    first, second = (Audio.read(tmp_path / name) for name in ("a.wav", "b.wav"))
    assert np.array_equal(first.samples, second.samples)


def test_no_format_no_file(mark, tmp_path):
    with pytest.raises(InputError, match="suffix"):
        write_marked(tmp_path / "a.xyz", speech("ba"), mark)
    assert list(tmp_path.iterdir()) == []
