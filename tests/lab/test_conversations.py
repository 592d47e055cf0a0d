"""The time line of a turn draws, and the widget has a static twin."""

import io

import pytest
from matplotlib.image import imread

from workbench import lab
from workbench.conversation.scripted import ScriptedRecognition, scripted_stages, spoken
from workbench.conversation.settings import Settings
from workbench.conversation.talk import talk
from workbench.errors import InputError
from workbench.lab import display
from workbench.lab.conversations import _read

TITLE, CAPTION = "Overlapped: first audio 3.0× sooner", "scripted stages, n = 2"


@pytest.fixture(scope="module")
def made():
    return {
        mode: talk(scripted_stages(), spoken([3, 3], pause_s=0.5), Settings(mode=mode),
                   simulated=True)
        for mode in ("serial", "overlapped")
    }  # fmt: skip


def test_it_draws_and_nothing_sticks_out(made):
    figure = lab.turn_waterfall({n: one.spans() for n, one in made.items()}, TITLE, CAPTION)
    picture = imread(io.BytesIO(display.png(figure)), format="png")
    assert picture.std() > 0.01
    assert figure.get_suptitle() == TITLE
    (axes,) = figure.axes
    assert "(ms)" in axes.get_xlabel()
    tight = figure.get_tightbbox()
    assert tight.x0 >= -0.02
    assert tight.x1 <= figure.get_figwidth() + 0.02


def test_no_time_line_is_refused():
    with pytest.raises(InputError, match="no time line"):
        lab.turn_waterfall({"serial": []}, TITLE, CAPTION)


def test_the_widgets_twin_plays_a_talk(made):
    shown = lab.converse(scripted_stages(), Settings(), {}, made["serial"])
    assert "first audio after" in shown.text
    assert "word word" in shown.text
    assert "<audio" in shown.html
    mute = scripted_stages(recognizer=ScriptedRecognition(words=lambda count: ""))
    silent = talk(mute, spoken([2]), simulated=True)
    assert "no answer" in lab.converse(mute, Settings(), {}, silent).text


def test_an_upload_is_read_or_refused(made):
    assert _read(made["serial"].sound.encoded("WAV")).rate_hz == 24_000
    with pytest.raises(InputError, match="no sound file"):
        _read(b"nothing")
