"""Every plot draws, says what it is given, and is shown with alt text."""

from __future__ import annotations

import io

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.lab import display, plots
from workbench.lab.style import FAINT, STYLE, style
from workbench.measure.playback import simulate_player
from workbench.measure.statistics import Interval, Ratio

TITLE = "True streaming: first audio 8.1× sooner"
CAPTION = "csm-nano on a test machine, n = 12"
CLIP = Audio(0.3 * np.sin(np.arange(24_000) / 10), 24_000)
STAGES = {"short": {"backbone": 10.0, "depth": 30.0}, "long": {"backbone": 30.0, "depth": 90.0}}
STREAMS = {
    "true": simulate_player([50, 90, 300], [1_920] * 3, 24_000),
    "pseudo": simulate_player([300, 300.1, 300.2], [1_920] * 3, 24_000),
}

FIGURES = {
    "stage_bars": lambda: plots.stage_bars(STAGES, TITLE, CAPTION, {"short": 8.0, "long": 25.0}),
    "stage_bars_without_limits": lambda: plots.stage_bars(STAGES, TITLE, CAPTION),
    "ecdf": lambda: plots.ecdf({"a": [1, 2, 3], "b": [9.0]}, TITLE, CAPTION, "time (ms)"),
    "ecdf_log": lambda: plots.ecdf({"a": [1, 2, 300]}, TITLE, CAPTION, "time (ms)", log=True),
    "waterfall": lambda: plots.waterfall(STREAMS, TITLE, CAPTION, {"true": 60.0, "pseudo": None}),
    "interval_dots": lambda: plots.interval_dots(
        {"short": Interval(2, 1.8, 2.4, 12), "long": Interval(8, 7, 9, 12)},
        TITLE, CAPTION, "times sooner (×)", reference=1.0,
    ),
    "interval_dots_by_arm": lambda: plots.interval_dots(
        {"short": {"a": Interval(2, 1.8, 2.4, 12), "b": Interval(8, 7, 9, 12)}},
        TITLE, CAPTION, "time (ms)",
    ),
    "sound": lambda: plots.waveform_and_spectrogram(
        {"speech": CLIP, "silence": Audio(np.zeros(9_000), 24_000)}, TITLE, CAPTION
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_each_plot_draws_with_title_caption_and_units(name):
    figure = FIGURES[name]()
    picture = imread(io.BytesIO(display.png(figure)), format="png")
    assert picture.std() > 0.01
    assert figure.get_suptitle() == TITLE
    assert figure.get_supxlabel() == CAPTION
    assert any("(" in axes.get_xlabel() for axes in figure.axes)


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_sticks_out_of_a_plot(name):
    figure = FIGURES[name]()
    display.png(figure)
    tight = figure.get_tightbbox()
    assert tight.x0 >= -0.02
    assert tight.y0 >= -0.02
    assert tight.x1 <= figure.get_figwidth() + 0.02
    assert tight.y1 <= figure.get_figheight() + 0.02


def test_a_long_title_is_wrapped_and_has_room():
    figure = plots.ecdf({"a": [1.0, 2.0]}, "word " * 40, CAPTION, "time (ms)")
    assert figure.get_suptitle().count("\n") >= 2
    assert figure.get_figheight() > FIGURES["ecdf"]().get_figheight()


def test_style_is_applied_for_good_or_for_a_while():
    before = matplotlib.rcParams["grid.color"]
    with style():
        assert matplotlib.rcParams["grid.color"] == FAINT
    assert matplotlib.rcParams["grid.color"] == before
    applied = style()
    assert all(matplotlib.rcParams[name] == value for name, value in STYLE.items())
    applied.__exit__(None, None, None)


def test_plots_leave_the_callers_settings_alone():
    before = dict(matplotlib.rcParams)
    FIGURES["ecdf"]()
    assert dict(matplotlib.rcParams) == before


def test_show_carries_the_alt_text_and_shrinks_to_half(monkeypatch):
    shown: list = []
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: shown.append((a, k)))
    display.show(FIGURES["ecdf"](), alt="Half of the samples lie below 2 ms.")
    (data,), options = shown[0]
    assert data["text/plain"] == "Half of the samples lie below 2 ms."
    described = options["metadata"]["image/png"]
    assert described["alt"] == "Half of the samples lie below 2 ms."
    assert described["width"] == imread(io.BytesIO(data["image/png"]), format="png").shape[1] // 2


def test_show_refuses_an_empty_alt():
    with pytest.raises(InputError, match="alt text"):
        display.show(FIGURES["ecdf"](), alt=" ")


def test_alt_text_reaches_a_rendered_page():
    nbformat = pytest.importorskip("nbformat")
    exporter = pytest.importorskip("nbconvert").HTMLExporter
    output = nbformat.v4.new_output(
        "display_data",
        {"image/png": "aGVsbG8="},
        metadata={"image/png": {"alt": "First audio after 50 ms.", "width": 570}},
    )
    cell = nbformat.v4.new_code_cell("", outputs=[output])
    for template in ("basic", "classic"):
        page, _ = exporter(template_name=template).from_notebook_node(
            nbformat.v4.new_notebook(cells=[cell])
        )
        assert 'alt="First audio after 50 ms."' in page


def test_a_table_escapes_aligns_and_has_a_text_twin():
    rows = [
        {"sentence": "<short>", "time (ms)": Interval(12.34, 11.9, 12.8, 9), "equal": True},
        {"sentence": "long", "time (ms)": Interval(1234.5, 1200, 1300, 9), "RTF": 0.123},
    ]
    table = display.table(rows, caption="Times & limits")
    assert "&lt;short&gt;" in table.html
    assert "<short>" not in table.html
    assert "Times &amp; limits" in table.html
    assert 'scope="col"' in table.html
    assert 'scope="row"' in table.html
    assert "12.3 (11.9–12.8)" in table.text
    assert "1,234 (1,200–1,300)" in table.text
    assert [line.split()[-1] for line in table.text.splitlines()[3:]] == ["–", "0.12"]
    assert "yes" in table.text
    assert table._repr_mimebundle_() == {"text/html": table.html, "text/plain": table.text}


def test_a_table_needs_rows_and_a_caption():
    with pytest.raises(InputError):
        display.table([], "empty")
    with pytest.raises(InputError):
        display.table([{"a": 1}], " ")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (True, "yes"), (1_234, "1,234"), (0.0, "0"), (0.001234, "0.0012"),
        (-3.5, "−3.50"), (98_765.4, "98,765"), (float("inf"), "inf"), ("a", "a"),
        (Ratio(8.123, 7.9, 8.4, 20), "8.12× (7.90–8.40)"),
    ],
)  # fmt: skip
def test_cells_read_as_people_write(value, text):
    assert display.cell_text(value) == text
