"""What else the machine did: other processes count, our own workers don't."""

import subprocess
import sys

import pytest

from workbench.measure import watch as module
from workbench.measure.memory import Memory, free, too_little
from workbench.measure.watch import Limits, Span, Watch, disturbances

SPIN = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass"


def span(others_s=0.0, steal_s=0.0, reasons=(), number=0):
    gpu = {"index": 0, "throttle_reasons": list(reasons), "temperature_c": 61}
    return Span(number, number, 100.0, others_s, steal_s, (gpu,))


def test_quiet_machine_is_not_disturbed():
    assert disturbances([], Limits()) == []
    calm = span(others_s=9, steal_s=0.9, reasons=["idle", "application clocks setting"])
    assert disturbances([calm], Limits(), {0}) == []


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (span(others_s=30), "other processes took 30% of the processor's time"),
        (span(steal_s=2), "other virtual machines took 2% of the processor's time"),
        (
            span(reasons=["hardware thermal slowdown"]),
            r"held back in 50% of the readings: hardware thermal slowdown \(GPU 0\)",
        ),
    ],
)
def test_disturbances_are_named(seen, said):
    found = disturbances([seen, seen if "took" in said else span(number=1)], Limits(), {0})
    assert len(found) == 1
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(found[0])


def test_throttling_of_a_gpu_that_no_arm_used_is_nobody_s_trouble():
    hot = span(reasons=["hardware thermal slowdown"])
    assert disturbances([hot], Limits(), {1}) == []


def test_a_rare_throttle_is_within_the_limit():
    spans = [span(number=n) for n in range(39)] + [span(reasons=["hardware slowdown"])]
    assert disturbances(spans, Limits(), {0}) == []


def test_processor_time_by_owner(monkeypatch):
    import psutil

    times = iter([
        {"user": 100.0, "system": 0.0, "idle": 900.0, "steal": 0.0, "guest": 5.0},
        {"user": 150.0, "system": 2.0, "idle": 945.0, "steal": 3.0, "guest": 9.0},
    ])  # fmt: skip
    monkeypatch.setattr(
        psutil, "cpu_times", lambda: type("T", (), {"_asdict": lambda self: dict(next(times))})()
    )
    ours = iter([10.0, 50.0])
    monkeypatch.setattr(Watch, "_ours_s", lambda self: next(ours))
    monkeypatch.setattr(module.gpus, "read_states", lambda: ([], "none"))
    watch = Watch(lambda: [])
    with watch.over(0, 4):
        pass
    (seen,) = watch.spans
    assert (seen.first, seen.last) == (0, 4)
    assert seen.cpu_s == 100.0  # 52 at work, 45 idle, 3 stolen; guest time is user time
    assert seen.others_s == 12.0  # 52 at work, 40 of them ours
    assert seen.steal_s == 3.0


def test_workers_that_end_stay_counted():
    watch = Watch(lambda: [])
    before = watch._ours_s()
    subprocess.run([sys.executable, "-c", SPIN], check=True)
    assert watch._ours_s() - before >= 0.35


def test_room_for_workers():
    gib = 1 << 30
    assert too_little(Memory(10 * gib), Memory(2 * gib), 3) == ""
    assert "3 more workers of 3.0 GiB" in too_little(Memory(10 * gib), Memory(3 * gib), 3)
    assert "on GPU 1" in too_little(Memory(gib, (gib, gib)), Memory(0, (0, gib)), 1)
    assert free().host > 0
    taken = Memory(5, (7, 3)).less(Memory(6, (2, 3)))
    assert taken == Memory(0, (5, 0))
    assert taken.most(Memory(4, (1, 9))) == Memory(4, (5, 9))
    assert Memory(1).most(Memory(2, (3,))) == Memory(2, (3,))
