"""Hosted objects for tests: they spin, fail, hang and die as told."""

import os
import time
from pathlib import Path


class Spinner:
    """Works for ``work_ms`` a trial; ``at`` names the trial that goes wrong, ``how`` the way."""

    def __init__(self, work_ms=2.0, how="", at=2):
        if how == "load":
            raise FileNotFoundError("no weights here")
        self.work_ms = work_ms
        self.how = how
        self.at = at

    def warm_up(self):
        if self.how == "warm":
            raise MemoryError("out of memory while warming up")
        return 0.25

    def about(self):
        return {"implementation": "spin", "device": "cpu"}

    def trial(self, index, seed):
        if index == self.at and self.how:
            self.go_wrong()
        begin = time.perf_counter()
        until = begin + self.work_ms / 1000
        while time.perf_counter() < until:
            pass
        spun_ms = 1000 * (time.perf_counter() - begin)
        # What a quiet machine would have shown: verdicts of tests rest on it.
        told_ms = self.work_ms * (1 + 0.001 * ((index * 7 + os.getpid()) % 5))
        return {
            "told_ms": told_ms,
            "spun_ms": spun_ms,
            "seed": float(seed),
            "pid": float(os.getpid()),
        }

    def last(self):
        return f"what {os.getpid()} made"

    def go_wrong(self):
        if self.how == "hang":
            time.sleep(60)
        if self.how == "die":
            os.kill(os.getpid(), 9)
        if self.how == "raise":
            raise MemoryError("no room for the cache")


class Noisy(Spinner):
    """Takes up to three times as long, so that no number of trials gives it a verdict."""

    def trial(self, index, seed):
        found = super().trial(index, seed)
        return {**found, "told_ms": found["told_ms"] * (1 + (index * 7 + os.getpid()) % 3)}


class Changing(Spinner):
    """Says of each of its processes that something else ran."""

    def about(self):
        return {"implementation": os.getpid()}


class OnThreads(Spinner):
    """Says on how many threads it runs, and how many cores it may use."""

    def __init__(self, threads):
        super().__init__()
        self.threads = threads

    def about(self):
        return {**super().about(), "threads": self.threads}

    def trial(self, index, seed):
        huge = os.environ["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
        mask = getattr(os, "sched_getaffinity", None)  # macOS has none
        cores = len(mask(0)) if mask else 0
        return {**super().trial(index, seed), "cores": float(cores), "huge": float(huge)}


class FailsLater(Spinner):
    """Can be started ``most`` times only; ``folder`` remembers how often it was."""

    def __init__(self, folder, most):
        super().__init__()
        started = len(list(Path(folder).iterdir()))
        if started >= most:
            raise OSError("no more")
        (Path(folder) / str(started)).touch()
