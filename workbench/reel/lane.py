"""A lane: one engine that speaks jobs, one by one, in batches or as streams of a pool.

Lane(workbench.load("csm-nano"), batch_size=8).speak(jobs)     # each as soon as it is finished
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from workbench.engines.speech import Speech
from workbench.errors import InputError
from workbench.reel.jobs import Job

Way = Literal["one by one", "stream pool", "batches"]

ATTEMPTS = 2  # a take that is silent or caught in a loop is said once more, with the next seed
_SILENT_DBFS = -60.0
_MOST_SEED = (1 << 31) - 1
# How they group texts changes no take's model or voice.
_NOT_HEARD = frozenset({"batching", "batched_text"})


@dataclass(frozen=True)
class Take:
    """What came of a job: its ``speech``, at which ``attempt`` (from 1) it came."""

    key: str
    speech: Speech
    attempt: int = 1


class Lane:
    """Speaks jobs with ``engine``, ``batch_size`` at a time (0: see ``automatic_batch``).

    ``way`` tells how: CSM's frame step as a stream pool, in which each says what it says alone;
    any other engine that can in batches of its own ``synthesize_batch``, one voice and similar
    lengths at a time; or one by one, as texts with references are outside of a pool.
    """

    def __init__(self, engine: Any, batch_size: int = 0) -> None:
        if batch_size < 0:
            raise InputError(f"a batch size of {batch_size}", "use 0 (automatic) or more")
        self.engine = engine
        self.batch_size = batch_size or automatic_batch(engine)

    @property
    def way(self) -> Way:
        """How segments are spoken."""
        if self.batch_size == 1:
            return "one by one"
        options = getattr(self.engine, "options", None)
        pooled = hasattr(self.engine, "slots") and getattr(self.engine, "streams", False)
        if pooled and getattr(options, "sync_free_sampling", False):
            return "stream pool"
        # Without that switch `synthesize_batch` takes one after another, all ready at the end.
        return "batches" if getattr(options, "batching", False) else "one by one"

    def identity(self) -> dict[str, Any]:
        """What decides how it sounds, as JSON values: part of each segment's key.

        Of the switches only those that may change what is heard; how many texts are spoken at a
        time isn't among them. A guest's own settings may all be heard.
        """
        engine = self.engine
        settings = dict(getattr(getattr(engine, "options", None), "settings", {}))
        return {
            "name": engine.name,
            "weights": engine.weights,
            "implementation": engine.implementation,
            "dtype": str(getattr(engine, "dtype", "")).removeprefix("torch."),
            "switches": [name for name in getattr(engine, "optimizations", ()) if _heard(name)],
            **({"settings": settings} if settings else {}),
        }

    def about(self) -> dict[str, Any]:
        """What runs, as JSON values."""
        engine = self.engine
        device = getattr(engine, "device", "cpu")
        return {
            **self.identity(),
            "rate_hz": engine.rate_hz,
            "device": str(getattr(device, "type", device)),
            "threads": getattr(engine, "threads", None),
            "optimizations": list(getattr(engine, "optimizations", ())),
            "left_out": dict(getattr(engine, "left_out", {})),
            "way": self.way,
            "batch_size": self.batch_size,
        }

    def warm_up(self) -> float:
        """The engine's own warm-up, in seconds; 0 for one that has none."""
        warm_up = getattr(self.engine, "warm_up", None)
        return float(warm_up()) if warm_up is not None else 0.0

    def close(self) -> None:
        """Closes an engine that can be closed."""
        close = getattr(self.engine, "close", None)
        if close is not None:
            close()

    def speak(self, jobs: Sequence[Job]) -> Iterator[Take]:
        """Takes of all ``jobs``, each as soon as it is finished, in any order.

        A take that is silent or looped is said again with the next seed; the last one counts,
        whatever it is. Raises InputError where an engine can't say a job at all.
        """
        pending, attempt = list(jobs), 1
        while pending:
            again = []
            for job, speech in self._spoken(pending):
                if attempt < ATTEMPTS and self._spoiled(speech):
                    again.append(_reseeded(job))
                else:
                    yield Take(job.key, speech, attempt)
            pending, attempt = again, attempt + 1

    def _spoken(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Speech]]:
        if self.way == "stream pool" and len(jobs) > 1:
            yield from self._pooled(jobs)
            return
        together = [job for job in jobs if not job.context] if self.way == "batches" else []
        for group in self._groups(together):
            first = group[0]
            speeches = self.engine.synthesize_batch(
                [job.text for job in group],
                voice=first.voice,
                seed=first.seed,
                temperature=first.temperature,
            )
            yield from zip(group, speeches, strict=True)
        said = {id(job) for job in together}
        for job in jobs:
            if id(job) not in said:
                yield job, self._alone(job)

    def _pooled(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Speech]]:
        """The longest first, so that the last to speak is a short one."""
        from workbench.engines.csm.streams import StreamPool

        waiting = sorted(jobs, key=lambda job: len(job.text))
        speaking: dict[Any, Job] = {}
        with StreamPool(self.engine, min(self.batch_size, len(jobs))) as pool:
            while waiting or speaking:
                while waiting and pool.speaking + pool.waiting < pool.slots:
                    job = waiting.pop()
                    stream = pool.join(
                        job.text,
                        voice=job.voice,
                        context=job.context,
                        seed=job.seed,
                        temperature=job.temperature,
                    )
                    speaking[stream] = job
                pool.step()
                for stream in [one for one in speaking if one.state == "finished"]:
                    yield speaking.pop(stream), stream.speech

    def _groups(self, jobs: Sequence[Job]) -> Iterator[list[Job]]:
        """Jobs of one voice and temperature and of similar length, ``batch_size`` at most."""
        from workbench.engines.csm.batches import buckets

        voices: dict[tuple[int, float | None], list[Job]] = {}
        for job in jobs:
            voices.setdefault((job.voice, job.temperature), []).append(job)
        for alike in voices.values():
            for bucket in buckets([len(job.text) for job in alike], self.batch_size):
                yield [alike[index] for index in bucket]

    def _alone(self, job: Job) -> Speech:
        speech: Speech = self.engine.synthesize(
            job.text,
            voice=job.voice,
            context=job.context,
            seed=job.seed,
            temperature=job.temperature,
        )
        return speech

    def _spoiled(self, speech: Speech) -> bool:
        if self.engine.weights == "random":
            return False  # noise says nothing, however often
        return speech.ended == "loop" or speech.peak_dbfs < _SILENT_DBFS


def hosted(engine: str, batch_size: int, settings: Mapping[str, Any]) -> Lane:
    """A lane with an engine of its own, for a worker process."""
    import workbench

    return Lane(workbench.load(engine, **settings), batch_size)


def automatic_batch(engine: Any) -> int:
    """Segments at a time: what an engine says of its memory, else VoiceReel's rule by GPU memory.

    8 GB 1-2, 16 GB 4-6, 48 GB and more 8-16 segments. One with native layers, which gain nothing
    from a pool (docs/log.md), and for an engine on the CPU that says nothing, as nobody knows what
    a second segment would take.
    """
    if getattr(getattr(engine, "options", None), "native_layers", False):
        return 1
    largest = getattr(engine, "largest_batch", None)
    if largest is not None:
        return int(largest())
    device = getattr(engine, "device", "cpu")
    if not str(getattr(device, "type", device)).startswith("cuda"):
        return 1
    import torch

    free, _ = torch.cuda.mem_get_info()
    return batch_for(free)


def batch_for(free_bytes: float) -> int:
    """VoiceReel's batch size for so much free GPU memory."""
    gib = free_bytes / 2**30
    for least_gib, batch in ((46, 16), (30, 8), (14, 5), (7, 2)):
        if gib >= least_gib:
            return batch
    return 1


def _heard(name: str) -> bool:
    """Whether a switch may change what is heard; unknown ones (of other engines) may."""
    from workbench.optimizations import NAMES, Promise, switch

    base = name.partition("=")[0]
    if base in _NOT_HEARD:
        return False
    if base not in NAMES:
        return True
    return switch(base).contract.promise not in (Promise.EXACT, Promise.TOLERANCE)


def _reseeded(job: Job) -> Job:
    return replace(job, seed=(job.seed + 1) & _MOST_SEED)
