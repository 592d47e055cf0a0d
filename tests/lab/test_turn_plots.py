"""Plots of turns draw, with finding, caption and units."""

import io

import numpy as np
import pytest
from matplotlib.image import imread

from tests.turn_sounds import RATE_HZ, LevelVad, WordJudge, buzz
from workbench.audio import Audio
from workbench.engines.turns.detectors import Policy, SemanticTurnDetector, SilenceTurnDetector
from workbench.engines.turns.timeline import timeline
from workbench.errors import InputError
from workbench.lab import display
from workbench.lab.turn_plots import frontiers, turn_timeline
from workbench.measure.statistics import Interval
from workbench.studies.turns.curves import Curve, Point

TITLE = "Words wait half as long"
CAPTION = "a test machine, n = 2"


def a_point(latency_s: float, rate: float) -> Point:
    made = Interval(rate, rate * 0.8, rate * 1.2, 20)
    return Point(Policy(0.5, 0.1, 1.0), made, made, Interval(latency_s, latency_s, latency_s, 20))


CURVES = {
    name: Curve("both", tuple(a_point(scale * at, 0.5 / (1 + 9 * at)) for at in (0.2, 0.5, 1.5)))
    for name, scale in (("silence alone", 1.0), ("words and silence", 0.5))
}


def a_timeline():
    gap = Audio(np.zeros(RATE_HZ // 2, np.float32), RATE_HZ)
    sound = Audio.concatenate([gap, buzz(0.6), gap, buzz(0.6), gap])
    judge = WordJudge(["done"])
    detectors = {
        "silence": SilenceTurnDetector(0.3),
        "words": SemanticTurnDetector(judge, Policy(0.5, 0.2, 1.0)),
        "patient": SilenceTurnDetector(9.0),
    }
    return sound, timeline(sound, LevelVad(), detectors, lambda *_: "done")


FIGURES = {
    "curves": lambda: frontiers(CURVES, {"0.7 s": a_point(0.7, 0.2)}, TITLE, CAPTION),
    "one curve": lambda: frontiers({"silence": CURVES["silence alone"]}, {}, TITLE * 4, CAPTION),
    "timeline": lambda: turn_timeline(*a_timeline(), TITLE, CAPTION, 2.2),
}


@pytest.mark.parametrize("name", FIGURES)
def test_it_draws_and_nothing_sticks_out(name):
    figure = FIGURES[name]()
    picture = imread(io.BytesIO(display.png(figure)), format="png")
    assert picture.std() > 0.01
    assert figure.get_suptitle().startswith(TITLE)
    assert "(s)" in figure.axes[-1].get_xlabel()
    tight = figure.get_tightbbox()
    assert tight.x0 >= -0.02
    assert tight.y0 >= -0.02
    assert tight.x1 <= figure.get_figwidth() + 0.02
    assert tight.y1 <= figure.get_figheight() + 0.02


def test_no_curves_are_refused():
    with pytest.raises(InputError, match="no curve"):
        frontiers({}, {}, TITLE, CAPTION)
