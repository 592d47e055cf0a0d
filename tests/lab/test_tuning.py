"""Loss curves and studies of fine-tuning draw, and say so where there is nothing."""

import io
import json

import pytest
from matplotlib.image import imread

from tests.measure import studies
from workbench import lab
from workbench.errors import InputError
from workbench.lab import display, tuning
from workbench.measure.study import CONTROL
from workbench.measure.study_record import read_study

TITLE, CAPTION = "The held-out loss falls by half", "tiny-csm on a test machine"
CURVES = {
    "first": {"trained on": [(step, 4.0 - step / 50) for step in range(1, 100)],
              "held out": [(20, 3.8), (40, 3.0)]},
    "depth": {"trained on": [(1, 5.0)]},
}  # fmt: skip


def test_losses_draw_and_nothing_sticks_out():
    figure = tuning.losses(CURVES, TITLE, CAPTION)
    picture = imread(io.BytesIO(display.png(figure)), format="png")
    assert picture.std() > 0.01
    assert [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes] == [
        "first",
        "depth",
    ]
    assert "(" in figure.axes[0].get_ylabel()
    tight = figure.get_tightbbox()
    assert tight.x0 >= -0.02
    assert tight.x1 <= figure.get_figwidth() + 0.02
    with pytest.raises(InputError, match="no losses"):
        tuning.losses({"first": {"trained on": []}}, TITLE, CAPTION)


def test_a_history_and_a_study_are_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORKBENCH_RECORD", str(tmp_path / "a.record.json"))
    report = lab.begin("61_test", TITLE, {})
    rows = [
        {"stage": "lora", "step": 1, "elapsed_s": 0, "first": 4.0},
        {"stage": "lora-check", "step": 1, "elapsed_s": 0, "first": 4.5},
    ]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tuning.show_losses(report, tmp_path, CAPTION)
    tuning.show_study(report, studies.made({"base": 1.0, CONTROL: 1.0, "b": 0.8}), "arms", TITLE)
    tuning.show_study(report, None, "none", TITLE)
    kept = {path.name for path in report.files.iterdir()}
    assert kept == {"losses.png", "arms.png", "arms_study"}
    assert read_study(report.files / "arms_study").others[-1] == "b"
    assert "left out" in capsys.readouterr().out
    with pytest.raises(InputError, match="no history"):
        tuning.show_losses(report, tmp_path / "none", CAPTION)


def test_a_study_of_no_trials_is_not_run():
    assert tuning.study_of(0, lambda plan: pytest.fail("it ran")) is None
    assert tuning.study_of(7, lambda plan: plan.trials) == 7
