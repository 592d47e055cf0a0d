"""Captions over a waveform; who speaks in which mode."""

import numpy as np
import pytest

from tests.engines.test_speak import Rooms
from workbench.audio import Audio
from workbench.errors import InputError
from workbench.lab import choices
from workbench.lab.reel_plots import caption_words, captioned_waveform
from workbench.reel.captions import Caption

CAPTIONS = [
    Caption("anna", "good morning", 0.5, 2.0),
    Caption("ben", "a sentence that goes on over the end of its line", 7.0, 12.5),
]


def bands(axes):
    return [p for p in axes.patches if p.get_alpha()]


def test_a_band_for_each_caption_on_each_line_that_it_touches():
    track = Audio(0.1 * np.ones(25 * 8_000), 8_000)
    drawn = captioned_waveform(track, CAPTIONS, "A title", "A caption")
    first, second, third, fourth = drawn.axes
    spans = [(one.get_x(), one.get_x() + one.get_width()) for one in bands(first)]
    assert spans == [(0.5, 2.0), (7.0, 8.0)]
    assert [one.get_x() + one.get_width() for one in bands(second)] == [4.5]
    assert bands(third) == bands(fourth) == []
    texts = [one.get_text() for one in first.texts]
    assert texts[0] == "good morning"
    assert texts[1].endswith("…")
    assert [one.get_text() for one in first.get_legend().get_texts()] == ["anna", "ben"]
    colors = [one.get_facecolor() for one in bands(first)]
    assert colors[0] != colors[1]
    assert bands(second)[0].get_facecolor() == colors[1]
    with pytest.raises(InputError, match="captions"):
        captioned_waveform(track, [], "A title", "A caption")


def test_captions_in_words():
    assert caption_words(CAPTIONS).startswith("0.5 s anna: good morning; 7.0 s ben: ")


def test_choices_in_tables_and_words():
    house = Rooms(("piper",))
    rows = {row["engine"]: row for row in choices.engine_rows(house)}
    assert [row["there"] for row in rows.values()] == [True, False, True]
    assert rows["csm-nano"]["speaks for"] == "whoever is missing"
    planned = choices.plan_rows(["hi there"], ["fast", "cinematic"], False, house)
    assert [row["engine"] for row in planned] == ["piper", "piper"]
    spoken = choices.speak_all(["hi there"], ["fast", "cinematic"], house=house)
    assert list(spoken) == ["text 1, fast: piper", "text 1, cinematic: piper"]
    assert choices.told(spoken)
    assert choices.finding(spoken) == "Of 2 takes, piper 2"
    assert "Fell back: chatterbox can't be had" in choices.verdict(spoken)
    assert "chatterbox" in choices.spoken_rows(spoken)[1]["why"]
    drawn = choices.share_figure(spoken, "A title")
    assert [one.get_text() for one in drawn.axes[0].get_yticklabels()] == ["fast", "cinematic"]
    with pytest.raises(InputError, match="no texts"):
        choices.speak_all([], ["fast"], house=house)
