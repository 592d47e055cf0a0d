"""Batches of coded recordings, in an order that a resumed run finds again, read by workers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from workbench.finetune.lora.codes import Coded
from workbench.models.csm.load import LoadedCsm
from workbench.models.csm.prompt import written

_POOL = 8  # batches whose recordings are sorted by length together


@dataclass(frozen=True)
class Batch:
    """``B`` sequences of ``S`` positions, padded on the right.

    ``text`` ``[B, S]`` token ids; ``codes`` ``[B, S, K]``; ``is_frame`` ``[B, S]``: where codes are
    read instead of text. The last frame of each sequence is the one that ends the audio.
    """

    text: Tensor
    codes: Tensor
    is_frame: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on ``device``; from pinned memory the copy runs beside the GPU's work."""
        return Batch(**{one.name: getattr(self, one.name).to(device, non_blocking=True)
                        for one in fields(self)})  # fmt: skip

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory; the DataLoader asks for it."""
        return Batch(**{one.name: getattr(self, one.name).pin_memory() for one in fields(self)})


class Recordings(Dataset[tuple[list[int], np.ndarray]]):
    """Recording ``i`` as token ids and codes ``[T, K]``, which are read when asked for.

    A sequence is what the model reads and writes when it speaks: ``<begin>[voice]text<end>``,
    the frames, and the frame that ends the audio.
    """

    def __init__(self, csm: LoadedCsm, coded: Sequence[Coded], voice: int) -> None:
        self.coded = list(coded)
        # All at once and here: a tokenizer can't always be sent to a worker.
        texts = csm.encode_batch([written(voice, one.text) for one in self.coded])
        self.tokens = [[csm.begin_id, *ids, csm.end_id] for ids in texts]
        self._pad, self._end = (
            csm.model.config.pad_token_id or 0,
            csm.model.config.codebook_eos_token_id,
        )

    def __len__(self) -> int:
        return len(self.coded)

    def __getitem__(self, index: int) -> tuple[list[int], np.ndarray]:
        return self.tokens[index], self.coded[index].codes()

    @property
    def lengths(self) -> list[int]:
        """Positions of each sequence."""
        pairs = zip(self.tokens, self.coded, strict=True)
        return [len(ids) + one.frames + 1 for ids, one in pairs]

    def collate(self, rows: Sequence[tuple[list[int], np.ndarray]]) -> Batch:
        """Rows side by side."""
        longest = max(len(ids) + len(codes) + 1 for ids, codes in rows)
        text = torch.full((len(rows), longest), self._pad)
        codes = torch.zeros((len(rows), longest, rows[0][1].shape[1]), dtype=torch.int64)
        is_frame = torch.zeros((len(rows), longest), dtype=torch.bool)
        for row, (ids, frames) in enumerate(rows):
            first, last = len(ids), len(ids) + len(frames)
            text[row, :first] = torch.tensor(ids)
            codes[row, first:last] = torch.from_numpy(frames.astype(np.int64))
            codes[row, last] = self._end
            is_frame[row, first : last + 1] = True
        return Batch(text, codes, is_frame)


def plan(lengths: Sequence[int], batch: int, epochs: int, seed: int) -> list[list[int]]:
    """The recordings of every step of a run: each once an epoch, similar lengths together.

    It depends on its arguments only, so that a resumed run goes on where it stopped.
    """
    steps: list[list[int]] = []
    for epoch in range(epochs):
        source = np.random.default_rng((seed, epoch))
        order = source.permutation(len(lengths)).tolist()
        batches: list[list[int]] = []
        for first in range(0, len(order), _POOL * batch):
            pool = sorted(order[first : first + _POOL * batch], key=lengths.__getitem__)
            batches += [pool[at : at + batch] for at in range(0, len(pool), batch)]
        steps += [batches[at] for at in source.permutation(len(batches))]
    return steps


@dataclass(frozen=True)
class Loading:
    """How batches come: by ``workers`` processes, each ``prefetch`` batches ahead, ``pinned``.

    Without workers they are made between two steps. Pinned memory is CUDA's.
    """

    workers: int = 0
    prefetch: int = 2
    pinned: bool = True


def loader(
    recordings: Recordings, steps: Iterable[list[int]], loading: Loading, device: torch.device
) -> DataLoader[Any]:
    """Yields the ``Batch`` of each of ``steps``."""
    return DataLoader(
        recordings,
        batch_sampler=steps,  # any iterable will do, an endless one too
        collate_fn=recordings.collate,
        num_workers=loading.workers,
        prefetch_factor=loading.prefetch if loading.workers else None,
        pin_memory=loading.pinned and device.type == "cuda",
        # A forked child would inherit CUDA's state and PyTorch's threads.
        multiprocessing_context="spawn" if loading.workers else None,
        persistent_workers=loading.workers > 0,
    )
