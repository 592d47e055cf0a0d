"""Several requests together: rows of similar length, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from workbench.engines.csm import memory
from workbench.engines.csm.batches import buckets
from workbench.engines.csm.generators import CodeGenerator
from workbench.engines.csm.loops import loop_end
from workbench.engines.csm.request import Request, RequestReader
from workbench.engines.csm.sound import Sound
from workbench.engines.speech import Ended, worst
from workbench.errors import OutOfMemory
from workbench.models.csm.prompt import Segment

Row = tuple[Request, Segment]  # each part of a long text is a row of its own
Made = tuple[np.ndarray, torch.Tensor, Ended]  # sound, codes [K, T] and how it ended


class BatchSpeaker:
    """Speaks rows in batches of at most ``largest()``; all are ready at the end.

    ``shortage_named(rows)`` is the block in which that many are spoken. Where memory runs out in
    it, a batch is spoken in two halves if ``note`` is given, which is told; else OutOfMemory
    goes on to the caller.
    """

    def __init__(
        self,
        generator: CodeGenerator,
        sound: Sound,
        requests: RequestReader,
        config: Any,
        device: torch.device,
        watches_loops: bool,
        largest: Callable[[], int],
        shortage_named: Callable[[int], AbstractContextManager[None]],
        note: Callable[[str], None] | None,
    ) -> None:
        self._generator = generator
        self._sound = sound
        self._requests = requests
        self._config = config
        self._device = device
        self._watches_loops = watches_loops
        self._largest = largest
        self._shortage_named = shortage_named
        self._note = note

    def speak(self, requests: Sequence[Request]) -> list[Made]:
        """What came of each request."""
        spoken = self._rows([(request, part) for request in requests for part in request.parts])
        made = []
        for request in requests:
            mine = [spoken.pop(0) for _ in request.parts]
            sound = np.concatenate([sound for sound, _, _ in mine])
            codes = torch.cat([codes for _, codes, _ in mine], dim=1)
            ended = worst([how for _, _, how in mine])
            if request.max_frames is not None and codes.shape[1] > request.max_frames:
                frame_samples = len(sound) // codes.shape[1]
                sound = sound[: request.max_frames * frame_samples]
                codes, ended = codes[:, : request.max_frames], "cap"
            made.append((sound, codes, ended))
        return made

    def _rows(self, rows: Sequence[Row]) -> list[Made]:
        lengths = [len(part.text) for _, part in rows]
        spoken: dict[int, Made] = {}
        waiting = buckets(lengths, self._largest())
        number = 0
        while waiting:
            bucket = waiting.pop(0)
            made: list[Made] | None = None
            try:
                with self._shortage_named(len(bucket)):
                    made = self._batch([rows[row] for row in bucket], number)
            except OutOfMemory:
                if self._note is None or len(bucket) == 1:
                    raise
            if made is None:  # here the failed attempt's frames are gone, and their tensors
                memory.release(self._device)
                half = (len(bucket) + 1) // 2
                assert self._note is not None
                self._note(f"batches of {half:,} instead of {len(bucket):,}")
                waiting[:0] = [bucket[:half], bucket[half:]]
                continue
            spoken.update(zip(bucket, made, strict=True))
            number += 1
        return [spoken[row] for row in range(len(rows))]

    def _batch(self, rows: Sequence[Row], number: int) -> list[Made]:
        """One batch, the ``number``-th."""
        first = rows[0][0]
        limits = [self._requests.frame_limit(request, part) for request, part in rows]
        frames = self._generator.frames(
            [request.prompt(part) for request, part in rows],
            first.sampling,
            first.seed + number,
            max(limits),
            first.clock,
        )
        batch = torch.stack(list(frames), dim=2)  # [B, K, T]
        cut = [self._cut(made, limit) for made, limit in zip(batch, limits, strict=True)]
        return [(self._sound.whole(codes), codes, ended) for codes, ended in cut]

    def _cut(self, codes: torch.Tensor, limit: int) -> tuple[torch.Tensor, Ended]:
        """``[K, T]`` cut at its end-of-audio frame, a loop or ``limit``, and which it was."""
        codes = codes[:, :limit]
        # The model's last codebook doesn't count, as in transformers' generate.
        books = codes[: self._config.num_codebooks - 1]
        ends = (books == self._config.codebook_eos_token_id).all(dim=0).nonzero()
        end = int(ends[0]) if len(ends) else None
        looped = loop_end(codes[0, :end].tolist()) if self._watches_loops else None
        if looped is not None:
            return codes[:, :looped], "loop"
        return (codes, "cap") if end is None else (codes[:, :end], "eos")
