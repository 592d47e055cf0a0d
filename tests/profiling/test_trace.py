import gzip
import json

import pytest

from tests.profiling import traces
from workbench.errors import InputError
from workbench.profiling.events import parse, read_events
from workbench.profiling.memory import memory_use
from workbench.profiling.tables import by_kernel, by_operator, by_stage, counts
from workbench.profiling.trace import Trace, merged, total_us


@pytest.fixture
def cpu():
    return Trace(parse(traces.on_cpu()))


@pytest.fixture
def gpu():
    return Trace(parse(traces.on_gpu()))


def test_the_host_has_what_no_stage_has(cpu):
    assert cpu.stage_us == {"prefill": 20, "depth": 40, "codec": 20, "host": 20}
    assert not cpu.on_gpu
    assert cpu.duration_us == 100


def test_what_comes_after_the_request_does_not_count(cpu):
    assert all(operator.event.start_us <= 100 for operator in cpu.operators)


def test_self_time_is_without_the_operators_called(cpu):
    rows = {row.operator: row for row in by_operator(cpu)}
    assert rows["linear"].calls == 2
    assert rows["linear"].total_ms == pytest.approx(0.016)
    assert rows["linear"].self_ms == pytest.approx(0.004)
    assert rows["mm"].self_ms == pytest.approx(0.028)
    busy_ms = sum(row.self_ms for row in rows.values())
    assert busy_ms == pytest.approx(total_us(cpu.busy) / 1000)


def test_most_first_and_no_more_than_asked(cpu):
    assert [row.operator for row in by_operator(cpu, 2)] == ["mm", "conv1d"]


def test_idle_is_where_no_operator_runs(cpu):
    rows = {row.stage: row for row in by_stage(cpu, 2, {})}
    assert rows["prefill"].idle_ms == pytest.approx(0.004)
    assert rows["depth"].idle_ms == pytest.approx(0.014)
    assert rows["codec"].idle_ms == 0
    assert rows["host"].idle_ms == pytest.approx(0.020)
    for row in rows.values():
        assert row.busy_ms + row.idle_ms == pytest.approx(row.profiled_ms)


def test_gaps_are_cut_at_stages_and_fill_the_rest(cpu):
    assert sum(gap.duration_us for gap in cpu.gaps) + total_us(cpu.busy) == cpu.duration_us
    first = cpu.gaps[0]
    assert (first.start_us, first.duration_us, first.stage) == (0, 10, "host")
    assert (first.before, first.after) == ("the request's start", "aten::mm")


def test_counts_of_a_frame_leave_prefill_out(cpu):
    frame = counts(cpu, frames=2)
    assert frame.operators == 4  # linear, mul, _local_scalar_dense, conv1d; not linear's mm
    assert frame.host_reads == 1
    assert frame.kernels == frame.kernel_launches == 0


def test_memory_of_a_frame_and_its_peak(cpu):
    used = memory_use(cpu, frames=2)
    assert used.peak_bytes == 150
    assert used.allocations_per_frame == 2
    assert used.allocated_bytes_per_frame == 150
    assert used.timeline[0] == (0.012, 64)


def test_no_allocations_noted_is_no_memory():
    assert memory_use(Trace(parse([traces.span("request", 0, 1)])), 1) is None


def test_a_kernel_belongs_to_the_stage_that_launched_it(gpu):
    rows = {row.stage: row for row in by_stage(gpu, 1, {})}
    assert [rows[name].kernels for name in ("prefill", "depth", "codec")] == [1, 1, 2]
    assert [rows[name].launches for name in ("prefill", "depth", "codec")] == [1, 1, 1]
    assert rows["depth"].busy_ms == pytest.approx(0.020)
    assert rows["codec"].busy_ms == pytest.approx(0.018)


def test_a_gap_between_kernels_is_the_late_stages(gpu):
    found = [(gap.start_us, gap.duration_us, gap.stage) for gap in gpu.gaps]
    assert found == [
        (0, 5, "prefill"), (20, 10, "depth"), (60, 2, "codec"), (70, 30, "host"),
    ]  # fmt: skip


def test_device_time_is_the_innermost_operators(gpu):
    rows = {row.operator: row for row in by_operator(gpu)}
    assert rows["addmm"].device_ms == pytest.approx(0.020)
    assert rows["linear"].device_ms == 0
    assert rows["mm"].device_ms == pytest.approx(0.015)
    assert rows["mm"].gflops is None
    assert [(row.kernel, row.runs) for row in by_kernel(gpu, 2)] == [("gemv", 1), ("conv", 2)]


def test_launches_of_kernels_and_graphs_are_told_apart(gpu):
    frame = counts(gpu, frames=1)
    assert (frame.kernel_launches, frame.graph_launches, frame.kernels) == (1, 1, 3)
    assert frame.waits == 1


def test_a_trace_needs_its_request():
    with pytest.raises(InputError, match="request"):
        Trace(parse([traces.operator("aten::mm", 0, 1)]))


def test_spans_join():
    assert merged([(3, 4), (0, 2), (1, 2.5), (2.5, 2.6)]) == [(0, 2.6), (3, 4)]


def test_a_file_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "a.pt.trace.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"traceEvents": traces.on_cpu()}).encode()))
    assert read_events(path) == parse(traces.on_cpu())


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\x1f\x8bnot gzip"])
def test_what_is_no_trace_is_refused(tmp_path, content):
    path = tmp_path / "a.json.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="isn't a profiler's trace"):
        read_events(path)
