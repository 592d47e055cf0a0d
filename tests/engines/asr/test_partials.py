"""Local agreement: what two runs agree on is confirmed, and stays."""

import itertools

import numpy as np
import pytest

from workbench.audio import Audio
from workbench.engines.asr.partials import GrowingTranscript, LocalAgreement, partials
from workbench.engines.asr.transcript import Segment, Transcript, Word
from workbench.errors import InputError

RATE_HZ = 1000


class Scripted:
    """Hears one word a second, the newest one wrong until another second has passed."""

    name = implementation = weights = compute_type = "scripted"

    def __init__(self, gives_word_times: bool = True) -> None:
        self.gives_word_times = gives_word_times
        self.lengths: list[float] = []

    def transcribe(self, audio, *, words=False):
        assert not words or self.gives_word_times
        self.lengths.append(audio.duration_s)
        # Each second of the sound holds its own number.
        heard = [int(value) for value in audio.samples[:: audio.rate_hz] * 1000 + 0.5]
        texts = [f"w{number}" for number in heard]
        if texts and len(audio) % audio.rate_hz:
            texts[-1] = "hm"
        times = tuple(Word(text, i, i + 1.0, 1.0) for i, text in enumerate(texts))
        text = " ".join(texts)
        segment = Segment(text, 0, audio.duration_s, 0.0, 0.0, times if words else ())
        return Transcript(
            text, (segment,), "en", audio.duration_s, 1.0, 30.0, "", "", "scripted", ""
        )


def speech(seconds: int) -> Audio:
    return Audio(np.repeat(np.arange(seconds) / 1000, RATE_HZ).astype(np.float32), RATE_HZ)


def pieces(audio: Audio, seconds: float):
    size = round(seconds * audio.rate_hz)
    for first in range(0, len(audio), size):
        yield Audio(audio.samples[first : first + size], audio.rate_hz)


def test_agreement_of_two_confirms_and_never_takes_back():
    agreement = LocalAgreement()
    assert agreement.add(["good", "morning"]) == ([], ["good", "morning"])
    assert agreement.add(["Good,", "mourning", "al"]) == (["Good,"], ["mourning", "al"])
    assert agreement.add(["food", "mourning", "alice"]) == (["mourning"], ["alice"])
    assert agreement.add(["food", "morning", "Alice."]) == (["Alice."], [])
    assert agreement.add(["good"]) == ([], [])
    assert agreement.confirmed == ["Good,", "mourning", "Alice."]


def test_agreement_of_three_waits_longer():
    agreement = LocalAgreement(3)
    for _ in range(2):
        assert agreement.add(["a"])[0] == []
    assert agreement.add(["a"])[0] == ["a"]


@pytest.mark.parametrize("word_times", [True, False])
@pytest.mark.parametrize("trim_after_s", [3.0, 100.0])
def test_confirmed_text_only_grows_and_the_end_is_whole(word_times, trim_after_s):
    recognizer = Scripted(word_times)
    found = list(
        partials(recognizer, pieces(speech(12), 0.5), step_s=0.5, trim_after_s=trim_after_s)
    )
    for before, after in itertools.pairwise(found):
        assert after.confirmed.startswith(before.confirmed)
    assert [partial.final for partial in found] == [False] * (len(found) - 1) + [True]
    assert found[-1].tentative == ""
    assert found[-1].audio_s == pytest.approx(12.0)
    if word_times or trim_after_s > 12:
        assert found[-1].text == " ".join(f"w{number}" for number in range(12))
        assert "hm" not in found[-1].text


def test_no_run_hears_more_than_the_trimmed_audio():
    recognizer = Scripted()
    list(partials(recognizer, pieces(speech(20), 0.5), step_s=0.5, trim_after_s=4.0))
    assert max(recognizer.lengths) <= 4.5 + 1.0


def test_small_pieces_wait_for_a_step():
    growing = GrowingTranscript(Scripted(), step_s=1.0)
    found = [growing.push(piece) for piece in pieces(speech(3), 0.25)]
    assert [partial is not None for partial in found] == [False, False, False, True] * 3
    last = growing.finish()
    assert last.final
    assert last.text == "w0 w1 w2"
    with pytest.raises(InputError, match="after the end"):
        growing.push(speech(1))


def test_nothing_was_said():
    assert GrowingTranscript(Scripted()).finish().text == ""


def test_settings_that_cannot_be():
    with pytest.raises(InputError, match="step"):
        GrowingTranscript(Scripted(), step_s=0.0)
    with pytest.raises(InputError, match="trim"):
        GrowingTranscript(Scripted(), step_s=1.0, trim_after_s=1.0)
    with pytest.raises(InputError, match="agreement"):
        LocalAgreement(0)
