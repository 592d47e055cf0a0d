import numpy as np
import pytest

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.quality.recognizer import SphinxRecognizer


def test_recognizer_hears_nothing_in_silence() -> None:
    recognizer = SphinxRecognizer()
    assert recognizer.transcribe(Audio(np.zeros(24_000, np.float32), 24_000)) == ""


def test_recognizer_needs_its_files(tmp_path) -> None:
    with pytest.raises(InputError, match="no file"):
        SphinxRecognizer(dictionary=tmp_path / "none.dict")


def test_recognizer_knows_its_words() -> None:
    recognizer = SphinxRecognizer()
    assert recognizer.unknown_words("We are flying to Spain in August.") == []
    assert recognizer.unknown_words("the quixotic zeugma is late") == ["quixotic", "zeugma"]
