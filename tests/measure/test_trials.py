"""Studies with real, tiny workers."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.signals import heeding_ctrl_c
from workbench.errors import InputError, OutputError
from workbench.hardware.cpu import keep_on_one_core
from workbench.measure import memory
from workbench.measure.arm import Arm, unit_of
from workbench.measure.host import Host
from workbench.measure.memory import Memory
from workbench.measure.plan import Plan
from workbench.measure.study import CONTROL
from workbench.measure.study_record import read_study, write_study
from workbench.measure.trials import StudyInterrupted, run_study
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
    assert all(len(set(of_arm)) == 4 for of_arm in pids)
    assert len(set().union(*pids)) == 12
    for result in plain.results.values():
        assert result.rounds == tuple(range(10))
        assert result.start_of == (0, 0, 1, 1, 1, 2, 2, 3, 3, 3)
        assert all(len(set(part)) == 1 for part in result.parts("pid"))
        assert len(result.starts) == 4
        assert result.of("seed") == tuple(float(7 + n) for n in range(10))
        assert result.starts[0].warm_up_s == 0.25  # apart, never among the samples
        assert result.starts[0].resident_bytes > 1_000_000
        assert result.about["implementation"] == "spin"


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two cores, and a system that keeps a process on one",
)
def test_arms_of_one_thread_share_a_core():
    def threaded(name, threads):
        return Arm(name, "tests.measure.arms:OnThreads", {"threads": threads})

    found = study(threaded("many", 2), baseline=threaded("one", 1), starts=2)
    last = max(os.sched_getaffinity(0))
    for name in ("one", CONTROL):
        assert found.result(name).about["core"] == last
        assert set(found.result(name).of("cores")) == {1.0}
    assert "core" not in found.result("many").about
    assert set(found.result("many").of("cores")) == {float(len(os.sched_getaffinity(0)))}


def test_arms_ask_for_huge_pages_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    own = {"GLIBC_TUNABLES": "glibc.malloc.check=0"}
    told = Arm("told", "tests.measure.arms:OnThreads", {"threads": 2}, environment=own)
    usual = Arm("usual", "tests.measure.arms:OnThreads", {"threads": 2})
    found = study(told, baseline=usual, starts=2)
    assert set(found.result("usual").of("huge")) == {1.0}
    assert set(found.result("told").of("huge")) == {0.0}
    assert found.result("usual").about["malloc"] == "glibc.malloc.hugetlb=1"
    assert found.result("told").about["malloc"] == "glibc.malloc.check=0"


def test_a_process_that_is_gone_is_kept_nowhere():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert keep_on_one_core(ended.pid) is None


def test_a_trial_of_several_passes_is_their_mean_and_arms_take_turns_in_each():
    found = study(arm("double", 2.0), trials=6, passes=3, seed=7, starts=2)
    assert len(found.orders) == 18
    assert all(sorted(order) == sorted(found.results) for order in found.orders)
    for result in found.results.values():
        assert result.rounds == tuple(range(6))
        # Seeds go on from pass to pass: 7, 8, 9 in the first round.
        assert result.of("seed") == tuple(float(8 + 3 * n) for n in range(6))
        assert len(set(result.of("pid"))) == 2
    assert found.judgement("double").ratio.value == pytest.approx(0.5, rel=0.01)


def test_an_arm_that_fails_within_a_trial_keeps_whole_trials_only():
    failing = arm("failing", how="raise", at=4)  # the second pass of the second round
    found = study(failing, trials=4, passes=3, starts=2)
    assert found.result("failing").error.type == "MemoryError"
    assert found.result("failing").rounds == (0,)
    assert found.baseline.rounds == (0, 1, 2, 3)


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
    assert len(found.results["good"].starts) <= 1
    assert found.results["good"].rounds == ()


def test_a_metric_that_no_trial_gives():
    with pytest.raises(InputError, match="two arms called same"):
        run_study("x", arm("same"), [arm("same")], metric="spun_ms")
    found = run_study("x", arm("a"), metric="ttfa_ms", plan=Plan(trials=2), limits=CALM)
    assert "gave no 'ttfa_ms'" in found.failed


def test_blocks_where_memory_is_short(monkeypatch):
    monkeypatch.setattr(memory, "free", lambda: Memory(1_000_000))
    found = study(arm("double", 2.0), trials=4, starts=2)
    assert found.layout == "blocked"
    assert "don't fit into the free" in found.layout_reason
    assert found.results["double"].rounds == (0, 1, 2, 3)
    assert len(set(found.results["double"].of("pid"))) == 2
    assert [len(result.starts) for result in found.results.values()] == [2, 2, 2]
    assert found.results["double"].start_of == (0, 0, 1, 1)
    assert [(span.first, span.last) for span in found.spans] == [(0, 1)] * 3 + [(2, 3)] * 3


def test_a_block_that_fails_ends_its_arm():
    found = study(arm("bad", how="die"), layout="blocked", starts=2)
    assert found.layout_reason == "asked for"
    assert found.results["bad"].rounds == (0, 1)
    assert found.results[CONTROL].rounds == (0, 1, 2, 3)


def test_arms_with_a_verdict_rest():
    found = study(arm("thrice", 3.0), trials=24, starts=8)
    assert found.stopped == "every arm had its verdict after 12 rounds"
    assert found.results["thrice"].rested
    assert len(found.orders) == 12
    ratio = found.judgement("thrice").ratio
    assert ratio.confidence == pytest.approx(0.995)
    assert found.judgement("thrice", against=CONTROL).ratio.confidence == ratio.confidence


def test_the_time_is_a_budget():
    found = study(trials=10_000, starts=2, seconds=0.5)
    assert found.stopped == "the time of 0.5 s was spent"
    assert 2 <= len(found.orders) < 1_000


def test_nothing_is_left_running(plain):
    for result in plain.results.values():
        with pytest.raises(ProcessLookupError):
            os.kill(int(result.of("pid")[0]), 0)


@pytest.mark.parametrize("layout", ["interleaved", "blocked"])
def test_an_interrupt_keeps_the_samples_and_ends_the_workers(monkeypatch, tmp_path, layout):
    pids = []

    def stop(words):
        if "round 4" in words:
            raise KeyboardInterrupt

    opened = Host.open

    def noted(host):
        opened(host)
        pids.append(host.worker.pid)

    monkeypatch.setattr(Host, "open", noted)
    plan = Plan(trials=6, starts=3, layout=layout)
    with pytest.raises(KeyboardInterrupt, match="interrupted") as caught:
        run_study(
            "x", arm("a"), [arm("b")], metric="told_ms", plan=plan, limits=CALM, progress=stop
        )
    found = caught.value.study
    assert found.stopped == "interrupted"
    assert not found.finished
    assert {result.rounds for result in found.results.values()} == {(0, 1, 2, 3)}
    assert len(pids) == 6
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    write_study(tmp_path, found)
    assert read_study(tmp_path).results == found.results


def test_an_interrupt_before_any_trial():
    def stop(words):
        raise KeyboardInterrupt

    with pytest.raises(StudyInterrupted) as caught:
        run_study("x", arm("a"), metric="told_ms", limits=CALM, progress=stop)
    assert caught.value.study.results["a"].rounds == ()


def test_ctrl_c_in_the_middle_of_a_trial():
    """A real signal while a worker is at work: it ends at once, not after its trial."""
    script = (
        "from workbench.measure.arm import Arm\n"
        "from workbench.measure.plan import Plan\n"
        "from workbench.measure.trials import StudyInterrupted, run_study\n"
        "arm = Arm('a', 'tests.measure.arms:Spinner', {'how': 'hang', 'at': 1})\n"
        "try:\n"
        "    run_study('x', arm, metric='told_ms', plan=Plan(trials=9, starts=2),\n"
        "              progress=lambda words: print(words, flush=True))\n"
        "except StudyInterrupted as stop:\n"
        "    print(stop.study.stopped, *stop.study.baseline.rounds)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heeding_ctrl_c,
    )
    for line in process.stdout:
        if line.startswith("round 1 "):
            break
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=30)  # the trial would hang for 60 s
    assert said.split() == ["interrupted", "0"]
    assert process.returncode == 0


def test_each_round_can_be_written(tmp_path):
    seen = []

    def checkpoint(so_far):
        write_study(tmp_path, so_far)
        read = read_study(tmp_path)
        assert not read.finished
        seen.append(len(read.baseline.rounds))

    whole = run_study(
        "x", arm("a"), metric="told_ms", plan=Plan(trials=6, starts=3), limits=CALM,
        checkpoint=checkpoint,
    )  # fmt: skip
    assert seen == [1, 2, 3, 4, 5, 6]
    assert whole.finished


def test_a_full_disk_doesn_t_end_the_study():
    def checkpoint(so_far):
        raise OutputError("No space left on device", "free some")

    said = []
    found = run_study(
        "x", arm("a"), metric="told_ms", plan=Plan(trials=4, starts=2), limits=CALM,
        checkpoint=checkpoint, progress=said.append,
    )  # fmt: skip
    assert found.baseline.rounds == (0, 1, 2, 3)
    assert any("No space left on device" in words for words in said)


@pytest.mark.parametrize("layout", ["interleaved", "blocked"])
def test_a_worker_killed_from_outside_ends_its_arm_alone(monkeypatch, tmp_path, layout):
    trial = Host.trial

    def killed(host, number, seed):
        if host.arm.name == "victim" and number == 3:
            os.kill(host.worker.pid, signal.SIGKILL)
        trial(host, number, seed)

    monkeypatch.setattr(Host, "trial", killed)
    found = study(arm("victim"), arm("good"), trials=8, starts=4, layout=layout)
    assert found.results["victim"].rounds == (0, 1, 2)
    assert "SIGKILL" in found.judgement("victim").reason
    assert found.results["good"].rounds == tuple(range(8))
    write_study(tmp_path, found)
    read = read_study(tmp_path)
    assert read.results == found.results
    assert read.judgement("victim").verdict is Verdict.FAILED


def test_an_arm_whose_later_process_can_t_start_keeps_its_samples(tmp_path):
    kwargs = {"folder": str(tmp_path), "most": 2}
    late = Arm("late", "tests.measure.arms:FailsLater", kwargs)
    found = study(late, trials=6, starts=3)
    assert found.results["late"].error.type == "OSError"
    assert found.results["late"].rounds == (0, 1, 2, 3)
    assert len(found.results["late"].starts) == 2
    assert found.results[CONTROL].rounds == tuple(range(6))


def test_memory_that_is_short_only_later_turns_to_blocks(monkeypatch):
    room = iter([Memory(1 << 40)] * 3 + [Memory(1_000_000)] * 99)
    monkeypatch.setattr(memory, "free", lambda: next(room))
    found = study(trials=6, starts=3)
    assert found.layout == "blocked"
    for result in found.results.values():
        assert result.rounds == (0, 1, 2, 3, 4, 5)
        assert result.start_of == (0, 0, 1, 1, 2, 2)
        assert len(result.starts) == 3


def test_an_arm_that_changes_between_its_processes_fails():
    changing = Arm("changing", "tests.measure.arms:Changing")
    error = study(changing).results["changing"].error
    assert "a later process of 'changing' ran something else" in error.message


def test_arms_are_checked():
    with pytest.raises(InputError, match="without a name"):
        arm(" ")
    with pytest.raises(InputError, match="not JSON"):
        arm("a", hook=print)
    other = Arm("o", "tests.measure.arms:Spinner", {}, sys.executable, {"A": "1"})
    assert other.environment == {"A": "1"}
    assert [unit_of(name) for name in ("ttfa_ms", "peak_rss_bytes", "rtf")] == ["ms", "bytes", ""]
