"""Lanes side by side: the same engine in this process, or in several processes of their own."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Protocol

from workbench.hardware.cpu import usable_cores
from workbench.reel.jobs import Job
from workbench.reel.lane import Lane, Take
from workbench.worker import Worker

PARALLEL_WORKERS = 4  # VoiceReel's default, where cores allow it


class Lanes(Protocol):
    """What speaks a script's jobs of one engine. Use it as a context."""

    count: int

    def about(self) -> dict[str, Any]:
        """What runs, of the first lane."""
        ...

    def warm_up(self) -> None:
        """Warms all lanes up."""
        ...

    def speak(self, jobs: Sequence[Job]) -> Iterator[Take]:
        """Takes of all jobs, each as soon as it is finished."""
        ...

    def close(self) -> None:
        """Lets the engines go."""
        ...

    def __enter__(self) -> Lanes:
        """The lanes themselves."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes them."""
        ...


class _Closing:
    def close(self) -> None:
        raise NotImplementedError

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class OneLane(_Closing):
    """One engine in this process, which stays loaded: it belongs to a cache."""

    count = 1

    def __init__(self, engine: Any, batch_size: int) -> None:
        self._lane = Lane(engine, batch_size)

    def about(self) -> dict[str, Any]:
        """See ``Lanes``."""
        return self._lane.about()

    def warm_up(self) -> None:
        """See ``Lanes``."""
        self._lane.warm_up()

    def speak(self, jobs: Sequence[Job]) -> Iterator[Take]:
        """See ``Lanes``."""
        yield from self._lane.speak(jobs)

    def close(self) -> None:
        """The cache keeps the engine."""

    def __enter__(self) -> OneLane:
        return self


class WorkerLanes(_Closing):
    """``count`` processes, each with an engine of its own and its share of the cores.

    ``target`` makes a lane there. Jobs are shared out by length, the longest first, each to the
    lane that has least to say. An error of one lane ends the others.
    """

    def __init__(
        self,
        engine: str,
        settings: Mapping[str, Any],
        count: int,
        batch_size: int,
        target: str = "workbench.reel.lane:hosted",
    ) -> None:
        threads = str(max(1, int((usable_cores() or 1) // count)))
        self.count = count
        self._workers = [
            Worker(
                target,
                engine,
                batch_size,
                dict(settings),
                environment={"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads)},
                name=f"{engine}, lane {number + 1}",
            )
            for number in range(count)
        ]

    def about(self) -> dict[str, Any]:
        """See ``Lanes``."""
        told: dict[str, Any] = self._workers[0].call("about")
        return told

    def warm_up(self) -> None:
        """All at once."""
        with ThreadPoolExecutor(self.count) as threads:
            for _ in threads.map(lambda worker: worker.call("warm_up"), self._workers):
                pass

    def speak(self, jobs: Sequence[Job]) -> Iterator[Take]:
        """See ``Lanes``."""
        arrived: queue.SimpleQueue[Take | BaseException | None] = queue.SimpleQueue()

        def drive(worker: Worker, share: list[Job]) -> None:
            try:
                for take in worker.stream("speak", share):
                    arrived.put(take)
            except BaseException as problem:
                arrived.put(problem)
            else:
                arrived.put(None)

        shares = [share for share in shared_out(jobs, self.count) if share]
        threads = [
            threading.Thread(target=drive, args=(worker, share), daemon=True)
            for worker, share in zip(self._workers, shares, strict=False)
        ]
        for thread in threads:
            thread.start()
        try:
            running = len(threads)
            while running:
                take = arrived.get()
                if isinstance(take, BaseException):
                    raise take
                if take is None:
                    running -= 1
                else:
                    yield take
        except BaseException:
            self._kill()  # what the others say would come too late
            raise
        finally:
            for thread in threads:
                thread.join()

    def close(self) -> None:
        """Ends the processes."""
        for worker in self._workers:
            worker.close()

    def _kill(self) -> None:
        for worker in self._workers:
            if worker.alive:
                worker.kill()

    def __enter__(self) -> WorkerLanes:
        return self


def shared_out(jobs: Sequence[Job], lanes: int) -> list[list[Job]]:
    """``jobs`` in ``lanes`` lists of about as many letters each, longest first (Graham 1969)."""
    shares: list[list[Job]] = [[] for _ in range(lanes)]
    letters = [0] * lanes
    for job in sorted(jobs, key=lambda one: -len(one.text)):
        least = letters.index(min(letters))
        shares[least].append(job)
        letters[least] += len(job.text)
    return shares


def worker_count(parallel: bool | None, workers: int | None, cuda: bool) -> int:
    """How many processes speak.

    One unless they are asked for: each takes seconds to start and a copy of the weights. Asked
    for without a number: VoiceReel's 4, on a CPU no more than there are cores.
    """
    if parallel is False or (parallel is None and workers is None):
        return 1
    if workers is not None:
        return workers
    cores = PARALLEL_WORKERS if cuda else int(usable_cores() or 1)
    return max(1, min(PARALLEL_WORKERS, cores))
