"""Plots of loads draw, with finding, caption and units."""

import io

import pytest
from matplotlib.image import imread

from workbench.errors import InputError
from workbench.lab import display
from workbench.lab.load_plots import growth

TITLE = "16 streams in real time"
CAPTION = "csm-nano on a test machine, n = 2"
CURVES = {
    "p50": {1: 9.5, 2: 11.0, 4: 17.0, 8: 30.0, 16: 61.0},
    "p95": {1: 12.0, 2: 14.0, 4: 20.0, 8: 42.0, 16: 95.0},
    "roofline": {1: 1.0, 2: 1.2, 4: 1.5, 8: 2.2, 16: 3.9},
}

FIGURES = {
    "deadline": lambda: growth(CURVES, TITLE, CAPTION, "interval (ms)", 80.0, ("roofline",)),
    "one value": lambda: growth({"p50": {8: 4.0}}, TITLE, CAPTION, "audio (s per s)"),
    "wide": lambda: growth({"p50": {1: 0.4, 512: 9e4}}, TITLE * 4, CAPTION, "audio (s per s)"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_it_draws_and_nothing_sticks_out(name):
    figure = FIGURES[name]()
    picture = imread(io.BytesIO(display.png(figure)), format="png")
    assert picture.std() > 0.01
    assert figure.get_suptitle().startswith(TITLE)
    assert figure.get_supxlabel() == CAPTION
    (axes,) = figure.axes
    assert "(" in axes.get_ylabel()
    tight = figure.get_tightbbox()
    assert tight.x0 >= -0.02
    assert tight.y0 >= -0.02
    assert tight.x1 <= figure.get_figwidth() + 0.02
    assert tight.y1 <= figure.get_figheight() + 0.02


def test_no_curves_are_refused():
    with pytest.raises(InputError, match="no curves"):
        growth({}, TITLE, CAPTION, "audio (s per s)")
