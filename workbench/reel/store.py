"""Finished segments in files, so that a crash costs no more than what was under way.

    segments/1f0c….wav        float32, as the engine gave it
    segments/journal.jsonl    one line a finished segment, written after its file

A segment is finished when the journal says so and its file has the checksum that stands there.
Writing happens beside the synthesis, in a thread.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from workbench.audio import Audio
from workbench.errors import InputError, OutputError
from workbench.files import atomic_path, sha256_of
from workbench.reel.lane import Take
from workbench.reel.monitor import Monitor

JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class Kept:
    """A finished segment. ``samples`` is its length at ``rate_hz``; ``seed`` the one it was said
    with, at ``attempt``; ``generation_ms`` from the request to its last sample.
    """

    key: str
    sha256: str
    samples: int
    rate_hz: int
    seed: int
    attempt: int
    ended: str
    generation_ms: float

    @property
    def file(self) -> str:
        """Its file's name."""
        return f"{self.key}.wav"


class SegmentStore:
    """The segments in ``folder``. As a context it waits at the end until all are written."""

    def __init__(self, folder: Path | str, monitor: Monitor | None = None) -> None:
        self.folder = Path(folder)
        self._monitor = monitor or Monitor()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="segments")
        self._writing: list[Future[None]] = []
        self._audio: dict[str, Audio] = {}
        self._known: dict[str, Kept] = {}

    def finished(self) -> dict[str, Kept]:
        """What earlier runs have finished, by key.

        A journal's last line may be torn, and files may be gone or damaged: such segments aren't
        finished. Raises InputError for a journal that is none.
        """
        self._known = {one.key: one for one in self._journal() if self._intact(one)}
        return dict(self._known)

    def keep(self, take: Take) -> None:
        """Has a take written and noted; returns at once.

        Raises the OutputError of an earlier one that couldn't be written.
        """
        self._audio[take.key] = Audio(take.speech.samples, take.speech.rate_hz)
        self._writing.append(self._writer.submit(self._write, take))
        for future in [one for one in self._writing if one.done()]:
            self._writing.remove(future)
            future.result()

    def wait(self) -> None:
        """Waits until all are written; raises the OutputError of one that couldn't be."""
        while self._writing:
            self._writing.pop(0).result()

    def audio(self, key: str) -> Audio:
        """The sound of a finished segment."""
        if key not in self._audio:
            self._audio[key] = Audio.read(self.folder / f"{key}.wav")
        return self._audio[key]

    def entry(self, key: str) -> Kept:
        """What is known of a finished segment."""
        return self._known[key]

    def close(self) -> None:
        """Ends the thread, when all is written."""
        self._writer.shutdown(wait=True)

    def __enter__(self) -> SegmentStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, take: Take) -> None:
        import soundfile

        speech = take.speech
        with self._monitor("write"):
            path = self.folder / f"{take.key}.wav"
            with atomic_path(path) as temporary:
                # 32 bits a sample: what is read again is what was said, to the last bit.
                soundfile.write(temporary, speech.samples, speech.rate_hz, subtype="FLOAT")
            kept = Kept(
                key=take.key,
                sha256=sha256_of(path),
                samples=len(speech),
                rate_hz=speech.rate_hz,
                seed=speech.seed,
                attempt=take.attempt,
                ended=speech.ended,
                generation_ms=round(speech.generation_ms, 3),
            )
            self._note(kept)
            self._known[take.key] = kept

    def _note(self, kept: Kept) -> None:
        """One line, on the disk before the next segment counts as finished."""
        line = json.dumps(asdict(kept), allow_nan=False)
        try:
            with (self.folder / JOURNAL).open("a+b") as journal:
                # After a crash the last line may lack its end: the next must not be glued to it.
                torn = journal.tell() and not self._ends_with_newline(journal)
                journal.write(f"{chr(10) if torn else ''}{line}\n".encode())
                journal.flush()
                os.fsync(journal.fileno())
        except OSError as problem:
            raise OutputError(
                f"can't write {self.folder / JOURNAL}: {problem.strerror or problem}",
                "free some space, then run again: what is finished stays",
            ) from problem

    @staticmethod
    def _ends_with_newline(journal: Any) -> bool:
        journal.seek(-1, os.SEEK_END)
        return bool(journal.read(1) == b"\n")

    def _journal(self) -> Iterator[Kept]:
        path = self.folder / JOURNAL
        if not path.exists():
            return
        try:
            lines = path.read_bytes().splitlines()
        except OSError as problem:
            raise InputError(
                f"{path} can't be read: {problem.strerror or problem}", "check its rights"
            ) from problem
        for line in lines:
            try:
                yield Kept(**json.loads(line))
            except (ValueError, TypeError):
                continue  # torn by a crash, or of another version: said again

    def _intact(self, kept: Kept) -> bool:
        path = self.folder / kept.file
        return path.is_file() and sha256_of(path) == kept.sha256
