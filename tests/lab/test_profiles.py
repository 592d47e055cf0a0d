import pytest

from tests.profiling import traces
from workbench import lab
from workbench.errors import InputError
from workbench.profiling.events import parse
from workbench.profiling.memory import memory_use
from workbench.profiling.tables import by_operator
from workbench.profiling.timeline import frame_line
from workbench.profiling.trace import Trace


@pytest.fixture
def trace():
    return Trace(parse(traces.on_cpu()))


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_a_bar_for_each_operator_with_its_calls(trace):
    rows = by_operator(trace)
    axes = lab.operator_bars(rows, "mm takes most", "n = 1").axes[0]
    assert [bar.get_width() for bar in axes.patches] == [row.self_ms for row in rows]
    assert "3 calls" in texts(axes)[0]
    assert axes.get_yticklabels()[0].get_text() == "mm"
    with pytest.raises(InputError):
        lab.operator_bars([], "none", "none")


def test_the_frame_shows_stages_and_gaps(trace):
    line = frame_line(trace)
    axes = lab.frame_timeline(line, "A quarter idle", "n = 1").axes[0]
    lanes = axes.collections
    assert len(lanes[-1].get_paths()) == len(line.idle)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["depth decoder", "codec"]
    assert axes.get_xlim() == (0, line.length_ms)


def test_memory_marks_its_peak(trace):
    axes = lab.memory_line(memory_use(trace, 2), "150 B", "n = 1").axes[0]
    assert any("peak" in text for text in texts(axes))
