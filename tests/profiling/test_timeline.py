import pytest

from tests.profiling import traces
from workbench.errors import InputError
from workbench.profiling.events import parse
from workbench.profiling.timeline import frame_line
from workbench.profiling.trace import Trace


def test_a_frame_reaches_from_one_depth_to_the_next():
    line = frame_line(Trace(parse(traces.on_cpu())))
    assert line.length_ms == pytest.approx(0.030)
    names = [name for name, _, _ in line.stages]
    assert names == ["depth decoder", "codec"]
    assert sum(length for _, _, length in line.stages) == pytest.approx(line.length_ms)
    assert line.busy[0] == pytest.approx((0.002, 0.008))
    assert line.idle_share == pytest.approx(7 / 30)
    filled = sum(length for _, length in (*line.busy, *line.idle))
    assert filled == pytest.approx(line.length_ms)


def test_host_code_between_stages_is_shown():
    entries = [traces.span("request", 0, 50)]
    entries += [traces.span("stage: depth", start, 5) for start in (0, 10, 20)]
    line = frame_line(Trace(parse([*entries, traces.operator("aten::mm", 9, 3)])))
    assert [name for name, _, _ in line.stages] == ["depth decoder", "host code"]
    assert line.busy == ((pytest.approx(0.009), pytest.approx(0.001)),)


def test_one_frame_has_no_length():
    with pytest.raises(InputError, match="two frames"):
        frame_line(Trace(parse(traces.on_gpu())))
