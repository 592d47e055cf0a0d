"""Claims as a figure and as tables: each answer stands out, and what can't be drawn is listed."""

import io

import pytest
from matplotlib.image import imread

from workbench.lab import display
from workbench.lab.claim_plots import claim_ranges, claim_tables
from workbench.measure.statistics import Interval
from workbench.studies.claims import Answer, Answers, Standing, read_claims

LEDGER = {claim.id: claim for claim in read_claims()}
ON = {"engine": "csm-nano", "machine": "Zeta 1, 2 cores", "what": "fast against plain"}


def answered(name, standing, *interval):
    figure = Interval(*interval, 40) if interval else None
    return Answer(LEDGER[name], standing, "because", figure, ON if figure else {})


ANSWERS = {
    "all": [
        answered("fern.compile.tts", Standing.REFUTED, 1.3, 1.2, 1.4),
        answered("fern.compile.audit", Standing.CONFIRMED, 0.25, 0.22, 0.28),
        answered("rtx50.hybrid", Standing.PARTLY, 2.0, 1.9, 2.1),
        answered("rtx50.inference_mode", Standing.NOT_MEASURABLE, 0.0, -0.1, 0.1),
        answered("rtx50.preload", Standing.CONFIRMED, 1.0, 1.0, 1.0),  # all of it is gone
        answered("fern.llm.local", Standing.NOT_MEASURABLE),
    ],
    "little": [answered("rtx50.inference_mode", Standing.NOT_MEASURABLE, 0.02, 0.01, 0.03)],
    "nothing measured": [answered("fern.compile.tts", Standing.NOT_MEASURABLE)],
    "no ratio": [answered("fern.llm.local", Standing.NOT_MEASURABLE)],
}


def made(name, tmp_path):
    return Answers(tuple(ANSWERS[name]), tmp_path)


@pytest.mark.parametrize("name", ANSWERS)
def test_claims_are_drawn_with_title_caption_and_unit(name, tmp_path):
    answers = made(name, tmp_path)
    figure = claim_ranges(answers)
    assert imread(io.BytesIO(display.png(figure)), format="png").std() > 0.01
    assert figure.get_suptitle() == answers.title
    assert figure.get_supxlabel() == answers.caption
    (axes,) = figure.axes
    assert "(×)" in axes.get_xlabel()
    low, high = axes.get_xlim()
    assert any(low <= tick <= high for tick in axes.get_xticks())
    tight = figure.get_tightbbox()
    assert tight.x0 >= -0.02
    assert tight.x1 <= figure.get_figwidth() + 0.02


def test_what_was_measured_is_in_the_rows(tmp_path):
    (axes,) = claim_ranges(made("all", tmp_path)).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0] == "fern.compile.audit"  # confirmed ones come first
    assert "fern.llm.local" not in names
    assert len(names) == 5


def test_every_claim_is_in_a_table_of_its_answer(tmp_path):
    tables = claim_tables(made("all", tmp_path))
    for answer in ANSWERS["all"]:
        assert answer.claim.id in tables.text
        assert answer.claim.id in tables.html
    assert "Confirmed (2)" in tables.text
    assert "Not measurable here (2)" in tables.html
