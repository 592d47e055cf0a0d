"""Studies with real, tiny workers."""

import os
import sys

import pytest

from workbench.errors import InputError
from workbench.measure import memory, trials
from workbench.measure.arm import Arm, unit_of
from workbench.measure.memory import Memory
from workbench.measure.plan import Plan
from workbench.measure.study import CONTROL
from workbench.measure.trials import run_study
from workbench.measure.verdict import Verdict
from workbench.measure.watch import Limits

CALM = Limits(others=1.0, steal=1.0, throttled=1.0)  # tests run beside anything


def arm(name, work_ms=1.0, **kwargs):
    return Arm(name, "tests.measure.arms:Spinner", {"work_ms": work_ms, **kwargs})


def study(*arms, baseline=None, limits=CALM, **plan):
    return run_study(
        "tiny",
        baseline or arm("baseline"),
        arms,
        metric="told_ms",
        plan=Plan(**{"trials": 4, **plan}),
        limits=limits,
    )


@pytest.fixture(scope="module")
def plain():
    return study(arm("double", 2.0), trials=10, seed=7)


def test_arms_take_turns_in_a_recorded_random_order(plain):
    assert list(plain.results) == ["baseline", CONTROL, "double"]
    assert len(plain.orders) == 10
    assert all(sorted(order) == sorted(plain.results) for order in plain.orders)
    assert len(set(plain.orders)) > 1
    assert plain.layout == "interleaved"
    assert plain.layout_reason == "all arms fit into memory side by side"
    assert plain.stopped == "all 10 rounds were run"
    assert [(span.first, span.last) for span in plain.spans] == [(n, n) for n in range(10)]


def test_each_arm_has_a_process_and_pairs_share_a_seed(plain):
    pids = {result.of("pid") for result in plain.results.values()}
    assert len(pids) == 3
    assert all(len(set(of_arm)) == 1 for of_arm in pids)
    for result in plain.results.values():
        assert result.rounds == tuple(range(10))
        assert result.of("seed") == tuple(float(7 + n) for n in range(10))
        assert result.starts[0].warm_up_s == 0.25  # apart, never among the samples
        assert result.starts[0].resident_bytes > 1_000_000
        assert result.about["implementation"] == "spin"


def test_verdicts_come_from_the_samples(plain):
    judgement = plain.judgement("double")
    assert judgement.verdict is Verdict.SLOWER
    assert judgement.ratio.value == pytest.approx(0.5, rel=0.01)
    assert "double: SLOWER" in plain.verdict
    with pytest.raises(InputError, match="it has: baseline"):
        plain.judgement("other")
    with pytest.raises(InputError, match="no metric 'x_ms'"):
        plain.judgement("double", "x_ms")


def test_what_trials_made_is_kept_on_request():
    kept = []
    run_study(
        "kept", arm("a"), metric="told_ms", plan=Plan(trials=3), limits=CALM,
        keep=lambda *made: kept.append(made), kept=(0, 2),
    )  # fmt: skip
    assert {(name, number) for name, number, _ in kept} == {
        (name, number) for name in ("a", CONTROL) for number in (0, 2)
    }
    assert all(made.startswith("what ") for *_, made in kept)
    failing = Arm("a", "tests.test_worker:Hosted")
    assert run_study("x", failing, metric="ms", plan=Plan(trials=2)).failed


def test_same_seed_same_order():
    orders = [study(trials=3, seed=seed).orders for seed in (3, 3)]
    assert orders[0] == orders[1]


@pytest.mark.parametrize(
    ("how", "error", "rounds"),
    [
        ("load", "FileNotFoundError", ()),
        ("warm", "MemoryError", ()),
        ("die", "WorkerDied", (0, 1)),
        ("raise", "MemoryError", (0, 1)),
        ("hang", "WorkerTimeout", (0, 1)),
    ],
)
def test_an_arm_that_goes_wrong_ends_alone(how, error, rounds):
    found = study(arm("bad", how=how), arm("good"), trial_s=1.5)
    assert found.results["bad"].error.type == error
    assert found.results["bad"].rounds == rounds
    assert found.judgement("bad").verdict is Verdict.FAILED
    assert error in found.judgement("bad").reason
    for name in ("baseline", CONTROL, "good"):
        assert found.results[name].error is None
        assert found.results[name].rounds == (0, 1, 2, 3)
    assert not found.failed


def test_a_killed_worker_is_told_with_its_signal():
    error = study(arm("bad", how="die")).results["bad"].error
    assert "SIGKILL" in error.message
    assert "want of memory" in error.message


def test_without_its_baseline_a_study_fails():
    found = study(arm("good"), baseline=arm("baseline", how="raise"))
    assert found.stopped == "the baseline failed"
    assert "no room for the cache" in found.failed
    assert found.judgement("good").verdict is Verdict.FAILED
    assert found.results["good"].rounds == (0, 1, 2)


def test_a_baseline_that_can_t_be_loaded_is_not_waited_for():
    found = study(arm("good"), baseline=arm("baseline", how="load"))
    assert "no weights here" in found.failed
    assert found.stopped == "the baseline failed"
    assert found.results["good"].starts == ()


def test_a_metric_that_no_trial_gives():
    with pytest.raises(InputError, match="two arms called same"):
        run_study("x", arm("same"), [arm("same")], metric="spun_ms")
    found = run_study("x", arm("a"), metric="ttfa_ms", plan=Plan(trials=2), limits=CALM)
    assert "gave no 'ttfa_ms'" in found.failed


def test_blocks_where_memory_is_short(monkeypatch):
    monkeypatch.setattr(memory, "free", lambda: Memory(1_000_000))
    found = study(arm("double", 2.0), trials=4, block=2)
    assert found.layout == "blocked"
    assert "don't fit into the free" in found.layout_reason
    assert found.results["double"].rounds == (0, 1, 2, 3)
    assert len(set(found.results["double"].of("pid"))) == 2  # a start for each block
    assert len(found.results["double"].starts) == 2
    assert [(span.first, span.last) for span in found.spans] == [(0, 1)] * 3 + [(2, 3)] * 3


def test_a_block_that_fails_ends_its_arm():
    found = study(arm("bad", how="die"), layout="blocked", block=2)
    assert found.layout_reason == "asked for"
    assert found.results["bad"].rounds == (0, 1)
    assert found.results[CONTROL].rounds == (0, 1, 2, 3)


def test_arms_with_a_verdict_rest():
    found = study(arm("thrice", 3.0), trials=80)
    assert found.plan.looks == (20, 40, 80)
    assert found.stopped == "every arm had its verdict after 20 rounds"
    assert found.results["thrice"].rested
    assert len(found.orders) == 20


def test_the_time_is_a_budget():
    found = study(trials=10_000, seconds=0.5)
    assert found.stopped == "the time of 0.5 s was spent"
    assert 2 <= len(found.orders) < 1_000


def test_nothing_is_left_running(plain):
    for result in plain.results.values():
        with pytest.raises(ProcessLookupError):
            os.kill(int(result.of("pid")[0]), 0)


def test_an_interrupt_ends_the_workers(monkeypatch):
    pids = []

    def stop(self):
        pids.extend(host.worker.pid for host in self.hosts)
        raise KeyboardInterrupt

    monkeypatch.setattr(trials._Run, "_rounds", stop)
    with pytest.raises(KeyboardInterrupt):
        study()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_arms_are_checked():
    with pytest.raises(InputError, match="without a name"):
        arm(" ")
    with pytest.raises(InputError, match="not JSON"):
        arm("a", hook=print)
    other = Arm("o", "tests.measure.arms:Spinner", {}, sys.executable, {"A": "1"})
    assert other.environment == {"A": "1"}
    assert [unit_of(name) for name in ("ttfa_ms", "peak_rss_bytes", "rtf")] == ["ms", "bytes", ""]
