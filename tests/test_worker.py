"""Objects in processes of their own: what crosses the border, and what happens at its ends."""

import os
import signal
import sys
import time

import numpy as np
import pytest

from workbench.errors import InputError
from workbench.worker import RemoteError, Worker, WorkerDied, WorkerTimeout

TARGET = "tests.test_worker:Hosted"


class Unpicklable(Exception):
    def __init__(self):
        super().__init__("holds a lock")
        import threading

        self.lock = threading.Lock()


class Hosted:
    """What the tests host; imported by the worker's process."""

    def __init__(self, base=0):
        if base < 0:
            raise InputError("a base below 0", "use 0 or more")
        self.base = base
        self.closed = 0

    def add(self, value):
        print("printed by the worker")
        return self.base + value

    def pid(self):
        return os.getpid()

    def variable(self, name):
        return os.environ.get(name)

    def double(self, array):
        return array * 2

    def fail(self, kind):
        raise {"input": InputError("this", "do that"), "lock": Unpicklable()}[kind]

    def count(self, to, fail_at=None):
        try:
            for number in range(to):
                if number == fail_at:
                    raise ValueError(f"failed at {number}")
                yield number
        finally:
            self.closed += 1

    def closings(self):
        return self.closed

    def sleep(self, seconds):
        time.sleep(seconds)

    def die(self, how):
        print("last words", file=sys.stderr, flush=True)
        if how == "exit":
            os._exit(7)
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def worker():
    with Worker(TARGET, 10) as made:
        yield made


def test_calls_run_in_another_process(worker, capfd):
    assert worker.call("pid") == worker.pid != os.getpid()
    assert worker.call("add", 5) == 15
    assert capfd.readouterr().out == ""
    array = np.arange(4.0)
    assert np.array_equal(worker.call("double", array), array * 2)


def test_environment_is_the_worker_s_own(worker):
    with Worker(TARGET, environment={"WORKBENCH_TEST": "yes"}) as other:
        assert other.call("variable", "WORKBENCH_TEST") == "yes"
    assert worker.call("variable", "WORKBENCH_TEST") is None


def test_errors_keep_their_type_and_tell_where(worker):
    with pytest.raises(InputError) as caught:
        worker.call("fail", "input")
    assert caught.value.remedy == "do that"
    assert "in fail" in caught.value.__notes__[0]
    with pytest.raises(RemoteError, match="Unpicklable in the worker .*holds a lock"):
        worker.call("fail", "lock")
    with pytest.raises(AttributeError, match="missing"):
        worker.call("missing")
    assert worker.call("add", 1) == 11  # an error ends a call, not the worker


def test_streams_pass_items_errors_and_cancellation(worker):
    assert list(worker.stream("count", 5)) == [0, 1, 2, 3, 4]
    items = worker.stream("count", 5, fail_at=2)
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(ValueError, match="failed at 2"):
        next(items)
    endless = worker.stream("count", 10**9)
    assert next(endless) == 0
    with pytest.raises(InputError, match="is streaming"):
        worker.call("add", 1)
    endless.close()
    assert worker.call("add", 1) == 11
    assert worker.call("closings") == 3


def test_a_stream_closed_just_at_its_end(worker):
    for _ in range(20):
        items = worker.stream("count", 2)
        next(items)
        items.close()
        assert worker.call("add", 0) == 10


@pytest.mark.parametrize(("how", "named"), [("exit", "exit code 7"), ("kill", "SIGKILL")])
def test_a_death_is_told_with_its_last_words(worker, how, named):
    with pytest.raises(WorkerDied, match=named) as caught:
        worker.call("die", how)
    assert "last words" in caught.value.__notes__[0]
    assert not worker.alive
    with pytest.raises(WorkerDied):
        worker.call("add", 1)


def test_a_call_that_hangs_is_ended(worker):
    worker.ready()
    with pytest.raises(WorkerTimeout, match=r"longer than 0.2 s for 'sleep'"):
        worker.call("sleep", 60, timeout_s=0.2)
    assert not worker.alive


def test_what_can_t_be_made_says_why():
    with Worker(TARGET, -1) as worker, pytest.raises(InputError, match="base below 0"):
        worker.ready()
    with Worker("no.such.module:thing") as worker, pytest.raises(ModuleNotFoundError):
        worker.ready()
    with pytest.raises(InputError, match="module:callable"):
        Worker("nothing")
    with pytest.raises(InputError, match="can't be started"):
        Worker(TARGET, python="/no/such/python")


@pytest.mark.parametrize("wait_s", [0, 0.5], ids=["at once", "when nobody reads"])
def test_closing_in_the_middle_of_a_stream_waits_for_an_item_only(wait_s):
    worker = Worker(TARGET)
    items = worker.stream("count", 10**9)
    next(items)
    time.sleep(wait_s)
    worker.close()
    assert worker._process.returncode == 0, "it ended by itself"
    with pytest.raises(WorkerDied, match="exit code 0"):
        items.close()


def test_nothing_is_left_running():
    worker = Worker(TARGET)
    pid = worker.call("pid")
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
