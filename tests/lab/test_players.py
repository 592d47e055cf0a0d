"""Players keep levels apart, describe clips in words, and leave no widget in a batch."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
import soundfile

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.lab.players import describe, explore, interactive, player, players

TONE = Audio(0.5 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000), 24_000)
QUIET = Audio(0.1 * TONE.samples, 24_000)
SILENCE = Audio(np.zeros(12_000), 24_000)


def sounds_in(html: str) -> list[Audio]:
    """Each clip of a page as a browser decodes it."""
    found = []
    for data in re.findall(r'src="data:audio/mpeg;base64,([^"]+)"', html):
        samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="float32")
        found.append(Audio(samples, rate_hz))
    return found


def test_a_tenth_of_the_level_stays_a_tenth():
    loud, quiet = sounds_in(players({"1.0×": TONE, "0.1×": QUIET}).html)
    assert loud.rms_dbfs == pytest.approx(TONE.rms_dbfs, abs=0.5)
    assert loud.rms_dbfs - quiet.rms_dbfs == pytest.approx(20, abs=0.5)


def test_one_gain_for_all_said_in_words():
    shown = players({"tone": TONE, "quiet": QUIET}, gain_db=-6)
    loud, quiet = sounds_in(shown.html)
    assert loud.rms_dbfs == pytest.approx(TONE.rms_dbfs - 6, abs=0.5)
    assert loud.rms_dbfs - quiet.rms_dbfs == pytest.approx(20, abs=0.5)
    assert "All play −6.0 dB from their own level" in shown.text
    assert "All play −6.0 dB" in shown.html
    assert "All play" not in players({"tone": TONE}).text


def test_a_gain_that_clips_says_how_much():
    assert "samples clip" in player(TONE, "tone", gain_db=12).text
    assert "samples clip" not in player(TONE, "tone").text


def test_silence_and_nothing_are_said_in_words():
    shown = players({"silence": SILENCE, "nothing": Audio(np.zeros(0), 24_000)})
    assert "0.50 s of silence" in shown.text
    assert "nothing: no samples" in shown.text
    (silence,) = sounds_in(shown.html)
    assert silence.peak_dbfs < -80


def test_a_clip_off_centre_says_so():
    assert "off centre by +0.20" in player(Audio(TONE.samples + 0.2, 24_000), "offset").text
    assert "off centre" not in player(TONE, "tone").text


def test_labels_and_alt_texts_are_escaped_and_complete():
    shown = player(TONE, "<b>voice & 1</b>")
    assert "<b>" not in shown.html
    assert "&lt;b&gt;voice &amp; 1&lt;/b&gt;" in shown.html
    assert re.search(r'<img alt="Waveform and spectrogram of [^"]+: 1.00 s, peak', shown.html)
    assert shown.text == "♪ <b>voice & 1</b>: " + describe(TONE)


def test_a_rate_that_mp3_lacks_is_resampled():
    (sound,) = sounds_in(player(Audio(TONE.samples, 20_000), "20 kHz").html)
    assert sound.rate_hz == 22_050


def test_a_clip_stays_small():
    assert len(player(TONE, "tone").html) < 40_000


@pytest.mark.parametrize("clips", [{}, {" ": TONE}])
def test_clips_need_labels(clips):
    with pytest.raises(InputError):
        players(clips)


class Voices:
    """A synthesizer that hums."""

    voices = {0: "rms", 1: "awb", 2: "slt"}  # noqa: RUF012

    def synthesize(self, text, *, voice=0, seed=None):
        if not text.strip():
            raise InputError("the text is empty", "write some")
        return _Spoken(TONE.samples, TONE.rate_hz)


class _Spoken(Audio):
    text = "hum"
    rtf = 0.25


def test_explore_in_a_batch_is_players_without_a_widget(monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    shown = explore(Voices())
    assert shown.text.count("♪") == 2
    assert "rms (voice 0)" in shown.text


def test_a_batch_started_from_a_notebook_is_a_batch(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "notebook.ipynb")
    assert interactive()
    monkeypatch.setenv("WORKBENCH_RECORD", "a.record.json")
    assert not interactive()


def test_explore_in_jupyterlab_speaks_on_a_click(monkeypatch):
    pytest.importorskip("ipywidgets")
    monkeypatch.setenv("JPY_SESSION_NAME", "notebook.ipynb")
    monkeypatch.delenv("WORKBENCH_RECORD", raising=False)
    shown: list = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    box, row, _ = explore(Voices(), "hello").children
    choice, button = row.children
    assert box.value == "hello"
    assert choice.options == (("rms (voice 0)", 0), ("awb (voice 1)", 1), ("slt (voice 2)", 2))
    button.click()
    assert "hum (RTF 0.25)" in shown[0].text
    box.value = ""
    button.click()
    assert len(shown) == 1
    assert not button.disabled
