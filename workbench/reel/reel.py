"""A script spoken: segments by lanes, kept in files, assembled into a track with captions.

reel = make_reel(read_script("walk.yaml"), "outputs/walk")
reel.rtf, reel.track_path, reel.captions, reel.kept
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.audio import Audio
from workbench.engines.cache import ENGINES, EngineCache
from workbench.engines.speech import Reference
from workbench.errors import InputError
from workbench.files import write_json
from workbench.optimizations.environment import SpeechSettings, from_environment
from workbench.reel.captions import Caption, write_captions
from workbench.reel.jobs import Job, jobs_of
from workbench.reel.lanes import Lanes, OneLane, WorkerLanes, worker_count
from workbench.reel.loading import is_cuda, is_guest, load_settings
from workbench.reel.monitor import Monitor
from workbench.reel.references import references_of
from workbench.reel.result import Reel, SegmentRow, TrackFormat
from workbench.reel.script import Script
from workbench.reel.store import Kept, SegmentStore
from workbench.reel.track import Piece, assemble, speech_span

RESULT = "reel.json"
_SEGMENTS = "segments"
_ENDS = {"cap": "was cut at its frame limit", "loop": "was stopped in a loop"}


def make_reel(
    script: Script,
    folder: Path | str,
    settings: SpeechSettings | None = None,
    *,
    track_format: TrackFormat = "wav",
    fresh: bool = False,
    cache: EngineCache = ENGINES,
    on_segment: Callable[[int, int], None] = lambda finished, segments: None,
) -> Reel:
    """Speaks ``script`` into ``folder``: track, captions, ``reel.json``, and its segments.

    ``settings`` say how (None: the environment's variables). Segments that an earlier run has
    finished are kept, unless ``fresh``; those whose text, voice, seed, references or model have
    changed are spoken. ``on_segment`` is told how many of them are finished. One process speaks
    from the engines in ``cache``; several load their own.

    Raises InputError for what an engine refuses, naming the segment's engine, ModelError for its
    files, OutputError where ``folder`` can't be written. What was finished until then is kept.
    """
    if track_format not in ("wav", "flac"):
        raise InputError(f"no track format called {track_format!r}", "use wav or flac")
    folder = Path(folder)
    work = _Work(script, settings or from_environment(), folder, cache, on_segment)
    with SegmentStore(folder / _SEGMENTS, work.monitor) as store:
        if not fresh:
            with work.monitor("resume"):
                work.finished = set(store.finished())
        for engine in script.engines:
            work.speak(engine, store)
        with work.monitor("wait for files"):
            store.wait()
        return work.assembled(store, track_format)


class _Work:
    """One run: what has been found out so far."""

    def __init__(
        self,
        script: Script,
        settings: SpeechSettings,
        folder: Path,
        cache: EngineCache,
        on_segment: Callable[[int, int], None],
    ) -> None:
        self.script, self.settings, self.folder = script, settings, folder
        self.monitor = Monitor()
        self.finished: set[str] = set()  # keys of earlier runs
        self._cache, self._on_segment = cache, on_segment
        self._jobs: dict[int, Job] = {}
        self._spoken: set[str] = set()
        self._engines: dict[str, dict[str, Any]] = {}
        self._notes: list[str] = []
        with self.monitor("references"):
            self._references = self._read_references()

    def _read_references(self) -> dict[str, list[Reference]]:
        references = {}
        for name in self.script.speakers:
            references[name], left_out = references_of(self.script, name)
            if left_out:
                self._notes.append(left_out)
        return references

    def _references_for(self, engine: str) -> dict[str, list[Reference]]:
        """All chunks for CSM; guests clone from one reference, and get the first."""
        if not is_guest(engine):
            return self._references
        for name, chunks in self._references.items():
            if len(chunks) > 1:
                first_s = chunks[0].audio.duration_s
                self._notes.append(
                    f"{name}: {engine} takes one reference, the first {first_s:.1f} s are used"
                )
        return {name: chunks[:1] for name, chunks in self._references.items()}

    def speak(self, engine: str, store: SegmentStore) -> None:
        """Speaks what ``engine`` has to say and no earlier run has finished."""
        settings, left_out = load_settings(
            engine, self.script.weights, self.settings, self.script.settings_of(engine)
        )
        with self.monitor("load"):
            lanes = self._lanes(engine, settings)
        with lanes:
            with self.monitor("load"):
                about = lanes.about()
            left_out = {**left_out, **about["left_out"]}
            self._engines[engine] = {**about, "left_out": left_out, "processes": lanes.count}
            self._notes += [
                f"{engine}: {name} was asked for and left out: {why}"
                for name, why in left_out.items()
                if name in self.settings.asked
            ]
            jobs = jobs_of(self.script, engine, _identity(about), self._references_for(engine))
            self._jobs |= jobs
            done = self.finished | self._spoken
            pending = {job.key: job for job in jobs.values() if job.key not in done}
            self._tell()
            if not pending:
                return
            with self.monitor("warm up"):
                lanes.warm_up()
            with self.monitor("synthesis"):
                for take in lanes.speak(list(pending.values())):
                    store.keep(take)
                    self._spoken.add(take.key)
                    self._tell()

    def _lanes(self, engine: str, settings: Mapping[str, Any]) -> Lanes:
        count = worker_count(
            self.settings.parallel, self.settings.workers, is_cuda(self.settings.device)
        )
        count = min(
            count, sum(self.script.engine_of(one) == engine for one in self.script.segments)
        )
        batch_size = self.settings.batch_size or 0
        if count > 1:
            return WorkerLanes(engine, settings, count, batch_size)
        return OneLane(self._cache.get(engine, **settings), batch_size)

    def _tell(self) -> None:
        done = self.finished | self._spoken
        finished = sum(job.key in done for job in self._jobs.values())
        self._on_segment(finished, len(self.script.segments))

    def assembled(self, store: SegmentStore, track_format: TrackFormat) -> Reel:
        """The track with its captions, written."""
        script = self.script
        numbers = range(len(script.segments))
        keys = [self._jobs[number].key for number in numbers]
        entries = [store.entry(key) for key in keys]
        rate_hz = script.rate_hz or entries[0].rate_hz
        with self.monitor("assemble"):
            pieces = [
                Piece(store.audio(key), _pause_s(script, number)) for number, key in enumerate(keys)
            ]
            audio, spans = assemble(pieces, rate_hz)
        rows, captions = [], []
        for segment, key, entry, piece, span in zip(
            script.segments, keys, entries, pieces, spans, strict=True
        ):
            start_s, end_s = span.start / rate_hz, span.end / rate_hz
            captions.append(Caption(segment.speaker, segment.text, start_s, end_s))
            rows.append(_row(captions[-1], entry, piece.audio, key not in self._spoken))
        self._notes += _troubles(rows, pieces)
        path = self.folder / f"track.{track_format}"
        with self.monitor("write track"):
            audio.write(path)
            caption_paths = write_captions(captions, self.folder, audio.duration_s)
        reel = Reel(
            script=script,
            audio=audio,
            track_path=path,
            caption_paths=caption_paths,
            captions=tuple(captions),
            segments=tuple(rows),
            spoken_s=sum(
                store.entry(key).samples / store.entry(key).rate_hz for key in self._spoken
            ),
            synthesis_s=self.monitor.total_s("synthesis"),
            timers=self.monitor.timers,
            engines=self._engines,
            notes=tuple(dict.fromkeys(self._notes)),
        )
        write_json(self.folder / RESULT, {**reel.summary(), "environment": _environment()})
        return reel


def _identity(about: Mapping[str, Any]) -> dict[str, Any]:
    """The part of what a lane tells that its identity consists of."""
    parts = ("name", "weights", "implementation", "dtype", "switches", "settings")
    return {name: about[name] for name in parts if name in about}


def _pause_s(script: Script, number: int) -> float:
    own = script.segments[number].pause_ms
    return (script.pause_ms if own is None else own) / 1000


def _row(caption: Caption, entry: Kept, audio: Audio, kept: bool) -> SegmentRow:
    return SegmentRow(
        speaker=caption.speaker,
        text=caption.text,
        start_s=round(caption.start_s, 4),
        end_s=round(caption.end_s, 4),
        audio_s=round(audio.duration_s, 4),
        seed=entry.seed,
        attempt=entry.attempt,
        ended=entry.ended,
        kept=kept,
    )


def _troubles(rows: Sequence[SegmentRow], pieces: Sequence[Piece]) -> list[str]:
    """What a listener would notice, in words."""
    found = []
    for number, (row, piece) in enumerate(zip(rows, pieces, strict=True), start=1):
        which = f"segment {number} ({row.speaker}: {row.text[:40]!r})"
        if speech_span(piece.audio) is None:
            found.append(f"{which} is silent")
        elif row.ended in _ENDS:
            found.append(f"{which} {_ENDS[row.ended]}")
    return found


def _environment() -> dict[str, Any]:
    from workbench.hardware.fingerprint import fingerprint

    return fingerprint()
