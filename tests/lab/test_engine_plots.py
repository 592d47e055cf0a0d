"""Plots and tables of engines."""

import pytest

from tests.studies.engines.test_side_by_side import TEXTS, measured, speech
from workbench import lab
from workbench.errors import InputError
from workbench.lab import engine_plots
from workbench.measure.study_record import read_study
from workbench.studies.engines.f5 import F5Study
from workbench.studies.engines.side_by_side import EngineStudy


def test_steps_are_drawn_where_they_lie():
    figure = engine_plots.step_rows({"a": [0, 0.5, 1], "b": [0, 1]}, "title", "caption")
    (axes,) = figure.axes
    drawn = [list(line.get_xdata()) for line in axes.lines]
    assert drawn == [[0, 0.5, 1], [0, 1]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    with pytest.raises(InputError, match="no schedules"):
        engine_plots.step_rows({}, "title", "caption")


def test_without_f5_its_remedy_is_shown(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    shown = engine_plots.show_f5(None, None)
    assert "workbench engines install f5" in str(shown)
    assert str(engine_plots.play_f5(None, None)) == "No clips."


@pytest.mark.parametrize(("factor", "scale"), [(0.5, "linear"), (0.001, "log")])
def test_engines_far_apart_are_drawn_on_a_logarithmic_axis(factor, scale, monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_RECORD", str(tmp_path / "a.record.json"))
    drawn = []
    monkeypatch.setattr(lab.Report, "figure", lambda self, name, figure, alt: drawn.append(figure))
    study = EngineStudy(measured({"quick": factor}), TEXTS, {}, {})
    engine_plots.show_engines(lab.begin("80_test", "Engines", {}), study)
    assert [figure.axes[0].get_xscale() for figure in drawn] == [scale, scale]


def test_f5_s_study_goes_beside_the_record(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_RECORD", str(tmp_path / "a.record.json"))
    report = lab.begin("81_test", "F5-TTS", {})
    study = measured({"7 steps": 0.5})
    clips = {name: [speech(), speech(seed=1)] for name in ("baseline", "7 steps")}
    engine_plots.show_f5(report, F5Study(study, TEXTS, clips))
    assert read_study(report.files / "f5_study").others == study.others
