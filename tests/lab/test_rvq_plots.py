"""Plots of vector quantization draw, with finding, caption and units."""

import io

import numpy as np
import pytest
from matplotlib.image import imread

from workbench import lab
from workbench.errors import InputError
from workbench.lab import display
from workbench.lab.display import number

CLOUD = np.random.default_rng(0).standard_normal((30, 2))
CLOUDS = [CLOUD / 2**place for place in range(6)]
SHARES = [4.0**-place for place in range(6)]
TIMES = {"native": {1: 0.3, 125: 9.0}, "eager": {1: 4.0, 125: 60.0}, "limit": {1: 0.1, 125: 5.0}}

FIGURES = {
    "clouds": lambda: lab.residual_clouds(CLOUDS, SHARES, "T", "c"),
    "one cloud": lambda: lab.residual_clouds([CLOUD], [1.0], "T", "c"),
    "distortion": lambda: lab.distortion({0.11: 1.4, 0.22: 1.1, 0.33: 1.0}, "T", "c"),
    "times": lambda: lab.times_by_frames(TIMES, "T", "c", dashed=("limit",)),
}  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_it_draws_and_nothing_sticks_out(name):
    figure = FIGURES[name]()
    assert imread(io.BytesIO(display.png(figure)), format="png").std() > 0.01
    assert figure.get_suptitle() == "T"
    assert figure.get_supxlabel() == "c"
    assert any("(" in axes.get_xlabel() for axes in figure.axes)
    tight = figure.get_tightbbox()
    assert tight.x0 >= -0.02
    assert tight.y0 >= -0.02
    assert tight.x1 <= figure.get_figwidth() + 0.02
    assert tight.y1 <= figure.get_figheight() + 0.02


def test_clouds_share_one_scale_and_say_what_is_left():
    axes = [one for one in FIGURES["clouds"]().axes if one.get_visible()]
    assert {one.get_xlim() for one in axes} == {axes[0].get_xlim()}
    titles = [one.get_title(loc="left") for one in axes]
    assert titles[0] == "before any: 100 % left"
    assert titles[2] == "after 2: 6.2 % left"


def test_labels_of_close_times_stand_apart_and_limits_show_at_a_single_length():
    curves = {"native": {1: 2.0}, "eager": {1: 2.05}, "limit": {1: 1.0}}
    (axes,) = lab.times_by_frames(curves, "T", "c", dashed=("limit",)).axes
    texts = {one.get_text(): one.xyann[1] for one in axes.texts}
    assert texts[number(2.0)] == 0
    assert 5 < texts[number(2.05)] <= 11.5
    limit = next(line for line in axes.lines if line.get_label() == "limit")
    assert len(limit.get_xdata()) == 2


@pytest.mark.parametrize("draw", [
    lambda: lab.residual_clouds([], [], "T", "c"),
    lambda: lab.distortion({}, "T", "c"),
    lambda: lab.times_by_frames({}, "T", "c"),
])  # fmt: skip
def test_nothing_to_draw_is_refused(draw):
    with pytest.raises(InputError):
        draw()
