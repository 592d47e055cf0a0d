"""Decoders as a notebook shows them."""

from tests.studies.codec.measured import measured
from workbench import lab


class Kept:
    """A report that keeps what it is given."""

    def __init__(self):
        self.figures, self.tables = {}, {}

    def figure(self, name, drawn, alt):
        self.figures[name] = (drawn, alt)

    def table(self, name, rows, title):
        self.tables[name] = rows


def test_decoders_are_drawn_and_listed():
    report, found = Kept(), measured()
    shown = str(lab.show_decoders(report, found))
    drawn, alt = report.figures["decoders"]
    assert drawn.axes[0].get_xlabel() == "frames of the stream (80 ms each)"
    assert "(ms)" in drawn.axes[0].get_ylabel()
    assert found.finding in alt
    assert "native" in shown
    assert report.tables["decoders"] == found.rows()


def test_without_two_of_them_it_says_why():
    report = Kept()
    shown = str(lab.show_decoders(report, measured(failed=("native",))))
    assert "signal SIGKILL" in shown
    assert not report.figures
