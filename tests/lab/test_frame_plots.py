"""Frames of several rungs on one time line."""

import io

import pytest
from matplotlib.image import imread

from workbench import lab
from workbench.errors import InputError
from workbench.lab import display
from workbench.profiling.timeline import FrameLine


def line(length_ms, calls):
    step = length_ms / calls
    busy = tuple((step * place, step / 2) for place in range(calls))
    idle = tuple((step * (place + 0.5), step / 2) for place in range(calls))
    half = length_ms / 2
    return FrameLine(0, length_ms, (("depth decoder", 0, half), ("codec", half, half)), busy, idle,
                     on_gpu=False)  # fmt: skip


LINES = {"transformers": line(60.0, 300), "frame-native": line(4.0, 2)}
LAUNCHES = {"transformers": 1234.5, "frame-native": 2.0}


def test_every_rung_is_a_row_with_its_launches():
    figure = lab.launch_lines(LINES, LAUNCHES, "1,234 become 2", "n = 1")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list(LINES)
    assert any("1,234 launches" in text.get_text() for text in axes.texts)
    busy = [one for one in axes.collections if len(one.get_paths()) == 300]
    assert len(busy) == 1
    assert imread(io.BytesIO(display.png(figure)), format="png").std() > 0.01
    tight = figure.get_tightbbox()
    assert tight.x1 <= figure.get_figwidth() + 0.02
    assert tight.y0 >= -0.02


def test_no_lines_are_refused():
    with pytest.raises(InputError, match="no frames"):
        lab.launch_lines({}, {}, "none", "none")
