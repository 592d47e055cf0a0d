import pytest

from workbench.errors import InputError
from workbench.lab import prompt_curves, similarity_grid
from workbench.measure.statistics import Interval


def test_a_grid_frames_the_highest_of_each_row():
    rows = {"a": {"a": 0.9, "b": 0.2, "c": -0.1}, "b": {"a": 0.1, "b": 0.8, "c": 0.3}}
    axes = similarity_grid(rows, "Clones are near", "n = 4", "clone of", "voice").axes[0]
    assert [patch.get_xy() for patch in axes.patches] == [(-0.5, -0.5), (0.5, 0.5)]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["a", "b", "c"]
    assert {text.get_text() for text in axes.texts} >= {"0.90", "−0.10"}
    with pytest.raises(InputError, match="no similarities"):
        similarity_grid({}, "", "", "", "")


def test_curves_have_bands_and_units():
    curve = {0.0: Interval(100, 90, 120, 5), 2.5: Interval(150, 140, 160, 5)}
    axes = prompt_curves({"kept": curve, "encoded": curve}, "Sooner", "n = 5", "ms").axes[0]
    assert axes.get_xlabel() == "prompt (s)"
    assert axes.get_ylabel() == "ms"
    assert list(axes.lines[0].get_xdata()) == [0.0, 2.5]
    assert len(axes.collections) == 2
    assert axes.get_legend() is not None
    assert axes.get_ylim()[0] == 0
    framed = prompt_curves({"kept": curve}, "", "", "ms", limits=(-50, 300)).axes[0]
    assert framed.get_ylim() == (-50, 300)
    with pytest.raises(InputError, match="no curves"):
        prompt_curves({"kept": {}}, "", "", "")
