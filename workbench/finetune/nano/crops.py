"""Random pieces of the speech, with the phones of their frames: the codec's training data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from workbench.finetune.nano.codec import FRAME_SAMPLES, PHONES_PER_FRAME
from workbench.finetune.nano.dataset import Shard, shard_numbers


@dataclass(frozen=True)
class Crops:
    """Pieces of speech of ``B`` utterances.

    ``audio`` ``[B, 1, T]``; ``phones`` ``[B, frames, 4]``; ``cut`` ``[B]`` whether a piece begins
    in mid-sentence; ``speakers`` whose they are.
    """

    audio: Tensor
    phones: Tensor
    cut: Tensor
    speakers: tuple[int, ...]

    def to(self, device: str) -> Crops:
        """The same crops on ``device``."""
        audio, phones, cut = (part.to(device) for part in (self.audio, self.phones, self.cut))
        return Crops(audio, phones, cut, self.speakers)


class CropSource:
    """Random crops of the speech with the phones of their frames."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shards: list[Shard] = []
        self._numbers: set[int] = set()
        self.refresh()

    def refresh(self) -> None:
        """Opens the shards written since, so that training needn't wait for the last of them."""
        for number in set(shard_numbers(self.folder)) - self._numbers:
            self.shards.append(Shard.read(self.folder, number))
            self._numbers.add(number)

    def batch(self, source: np.random.Generator, crops: int, frames: int) -> Crops:
        """``crops`` pieces of ``frames`` frames."""
        audio: list[np.ndarray] = []
        phones: list[np.ndarray] = []
        cut: list[bool] = []
        speakers: list[int] = []
        while len(audio) < crops:
            shard = self.shards[source.integers(len(self.shards))]
            utterance = shard.utterance(int(source.integers(len(shard))))
            wanted = frames * FRAME_SAMPLES
            samples = utterance.samples
            # Sentences shorter than a crop start anywhere in it, with silence around.
            if len(samples) < wanted:
                start = -int(source.integers(wanted - len(samples) + 1))
            else:
                start = int(source.integers(len(samples) - wanted + 1))
            piece = np.zeros(wanted, np.float32)
            first, last = max(start, 0), min(start + wanted, len(samples))
            piece[first - start : last - start] = samples[first:last]
            audio.append(piece)
            phones.append(frame_phones(utterance.phones, utterance.phone_ends, frames, start))
            cut.append(start > 0)
            speakers.append(utterance.speaker)
        return Crops(
            torch.from_numpy(np.stack(audio))[:, None],
            torch.from_numpy(np.stack(phones)),
            torch.tensor(cut),
            tuple(speakers),
        )


def frame_phones(phones: np.ndarray, ends: np.ndarray, frames: int, start: int = 0) -> np.ndarray:
    """Phone ids ``[frames, 4]`` at the middle of each 20 ms from sample ``start`` on."""
    part = FRAME_SAMPLES // PHONES_PER_FRAME
    times = start + np.arange(frames * PHONES_PER_FRAME) * part + part // 2
    positions = np.searchsorted(ends, times, side="right")
    known = (times >= 0) & (positions < len(phones))
    found = np.where(known, phones[np.minimum(positions, len(phones) - 1)], 0)  # 0 is pau
    return found.reshape(frames, PHONES_PER_FRAME).astype(np.int64)
