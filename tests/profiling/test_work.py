import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from workbench.profiling.capture import capture
from workbench.profiling.events import Event, read_events
from workbench.profiling.tables import by_operator
from workbench.profiling.trace import Trace
from workbench.profiling.work import work_of

CPU = torch.device("cpu")


def traced(tmp_path, task):
    path = tmp_path / "a.pt.trace.json.gz"
    capture(task, path, device=CPU)
    return Trace(read_events(path))


def test_a_product_of_known_size(tmp_path):
    left, right = torch.ones(64, 32), torch.ones(32, 16)
    trace = traced(tmp_path, lambda: left @ right)
    found = next(o for o in trace.operators if o.event.name == "aten::mm")
    assert found.work.flops == 2 * 64 * 32 * 16
    assert found.work.bytes == 4 * (64 * 32 + 32 * 16 + 64 * 16)
    row = next(row for row in by_operator(trace) if row.operator == "mm")
    assert row.gflops == pytest.approx(found.work.flops / found.event.duration_us / 1e3)
    assert row.gbs == pytest.approx(found.work.bytes / found.event.duration_us / 1e3)
    assert row.shapes == "64×32, 32×16"


TASKS = {
    "aten::bmm": lambda: torch.ones(3, 4, 5) @ torch.ones(3, 5, 6),
    "aten::addmm": lambda: torch.addmm(torch.ones(6), torch.ones(4, 5), torch.ones(5, 6)),
    "aten::convolution": lambda: F.conv1d(
        torch.ones(2, 4, 20), torch.ones(6, 2, 3), stride=2, padding=1, dilation=2, groups=2
    ),
}


@pytest.mark.parametrize("name", TASKS)
def test_flops_are_those_that_pytorch_counts(tmp_path, name):
    with FlopCounterMode(display=False) as counter:
        TASKS[name]()
    trace = traced(tmp_path, TASKS[name])
    assert [o.work.flops for o in trace.operators if o.event.name == name] == [
        counter.get_total_flops()
    ]


def test_a_transposed_convolution_applies_its_kernel_once_a_position(tmp_path):
    trace = traced(
        tmp_path, lambda: F.conv_transpose1d(torch.ones(1, 4, 10), torch.ones(4, 6, 8), stride=4)
    )
    found = next(o for o in trace.operators if o.event.name == "aten::convolution")
    assert found.work.flops == 2 * 10 * 4 * 6 * 8


def test_attention_is_two_products_over_all_keys(tmp_path):
    query, key = torch.ones(1, 2, 3, 8), torch.ones(1, 2, 7, 8)
    trace = traced(tmp_path, lambda: F.scaled_dot_product_attention(query, key, key))
    found = next(o for o in trace.operators if o.event.name == "aten::scaled_dot_product_attention")
    assert found.work.flops == 2 * 2 * 2 * 3 * 7 * 8


@pytest.mark.parametrize("shapes", [(), ([], []), ("x",)])
def test_unknown_shapes_are_no_work(shapes):
    assert work_of(Event("aten::mm", "operator", 0, 1, shapes=shapes)) is None
    assert work_of(Event("aten::cos", "operator", 0, 1, shapes=([2],))) is None
