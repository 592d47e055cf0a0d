"""A script in a process of its own, spoken again and again: a row of VoiceReel's table."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from typing import Any

from workbench.engines.speech import Reference
from workbench.errors import InputError
from workbench.measure.arm import rest_collector
from workbench.optimizations.environment import SpeechSettings
from workbench.reel.jobs import jobs_of
from workbench.reel.lane import Take
from workbench.reel.lanes import Lanes, OneLane, WorkerLanes, worker_count
from workbench.reel.loading import is_cuda, load_settings
from workbench.reel.references import references_of
from workbench.reel.script import parse_script


class ReelArm:
    """Speaks all segments of ``script`` with the ``SpeechSettings`` ``settings``, in lanes.

    Nothing is written: what is timed is the synthesis, from the first request until the last
    segment's sound is on the host. Raises InputError for a script with several engines.
    """

    def __init__(self, script: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        import workbench

        self.script = parse_script(script)
        if len(self.script.engines) > 1:
            raise InputError("a benchmark of a script with several engines", "use one engine")
        (self._engine,) = self.script.engines
        self._references: dict[str, list[Reference]] = {
            name: references_of(self.script, name)[0] for name in self.script.speakers
        }
        how = SpeechSettings(**settings)
        own = self.script.settings_of(self._engine)
        load, _ = load_settings(self._engine, self.script.weights, how, own)
        count = worker_count(how.parallel, how.workers, is_cuda(how.device))
        batch_size = how.batch_size or 0
        self.lanes: Lanes
        if count > 1:
            self.lanes = WorkerLanes(self._engine, load, count, batch_size)
        else:
            self.lanes = OneLane(workbench.load(self._engine, **load), batch_size)
        self._about = {**self.lanes.about(), "processes": self.lanes.count}
        self._trials = 0
        self._last: list[Take] = []

    def warm_up(self) -> None:
        """The engines' own warm-up, then the whole script once."""
        self.lanes.warm_up()
        self.trial()
        rest_collector()

    def trial(self) -> dict[str, float]:
        """Speaks all, each time with other seeds; ``rtf`` is ``synthesis_s`` / ``audio_s``."""
        script = self.script.model_copy(update={"seed": self.script.seed + self._trials})
        self._trials += 1
        jobs = jobs_of(script, self._engine, {}, self._references)
        gc.collect()
        begin = time.perf_counter()
        takes = list(self.lanes.speak(list(jobs.values())))
        synthesis_s = time.perf_counter() - begin
        self._last = takes
        audio_s = sum(take.speech.duration_s for take in takes)
        if not audio_s:
            raise InputError("no sound came of the script", "use another script or seed")
        return {
            "rtf": synthesis_s / audio_s,
            "synthesis_s": synthesis_s,
            "audio_s": audio_s,
            "said_again": float(sum(take.attempt > 1 for take in takes)),
        }

    def about(self) -> dict[str, Any]:
        """What really ran."""
        return self._about

    def last(self) -> list[Take]:
        """The takes of the last trial."""
        return self._last
