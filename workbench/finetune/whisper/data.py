"""Recordings as Whisper's features and token ids, with noise that is drawn anew each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from workbench.audio import Audio
from workbench.errors import InputError
from workbench.finetune.recordings import Recording
from workbench.models.whisper.window import RATE_HZ, WINDOW_S

IGNORED = -100
_NOISE_DB = (5.0, 30.0)  # signal to noise ratio of the recordings that get noise


class Heard(Dataset[dict[str, Any]]):
    """Recording ``i`` as ``input_features`` ``[M, 3000]`` and ``labels`` (a list of token ids).

    ``noise_share`` of what is asked for gets white noise, each time another. Raises InputError for
    a recording longer than Whisper's window of 30 s, or a text longer than its decoder.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        features: Any,
        tokenizer: Any,
        *,
        longest: int,
        noise_share: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._features, self._noise_share = features, noise_share
        self._random = np.random.default_rng(seed)
        self._recordings = list(recordings)
        self._labels = [labels(tokenizer, one.text) for one in self._recordings]
        for one, ids in zip(self._recordings, self._labels, strict=True):
            if len(ids) > longest:
                raise InputError(
                    f"the text of {one.path} has {len(ids)} tokens, more than {longest}",
                    "cut the recording into sentences",
                )

    def __len__(self) -> int:
        return len(self._recordings)

    def __getitem__(self, index: int) -> dict[str, Any]:
        recording = self._recordings[index]
        audio = Audio.read(recording.path).resampled(RATE_HZ)
        if audio.duration_s > WINDOW_S:
            raise InputError(
                f"{recording.path} lasts {audio.duration_s:.1f} s, more than Whisper's 30 s",
                "cut the recording into sentences",
            )
        made = self._features(
            self._disturbed(audio.samples), sampling_rate=RATE_HZ, return_tensors="pt"
        )
        return {"input_features": made.input_features[0], "labels": self._labels[index]}

    def _disturbed(self, samples: np.ndarray) -> np.ndarray:
        if self._random.random() >= self._noise_share:
            return samples
        level = float(np.sqrt(np.mean(np.square(samples))))
        level *= 10 ** (-self._random.uniform(*_NOISE_DB) / 20)
        noise = self._random.standard_normal(len(samples), np.float32)
        return np.clip(samples + level * noise, -1, 1).astype(np.float32)


def labels(tokenizer: Any, text: str) -> list[int]:
    """What the decoder should write: the prompt after its first token, the words, the end.

    Words begin with a space, as in Whisper's own transcripts; the model puts its start token
    before what it reads.
    """
    words = tokenizer(f" {text}", add_special_tokens=False)["input_ids"]
    return [*tokenizer.prefix_tokens[1:], *words, tokenizer.eos_token_id]


def collate(rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Features ``[B, M, 3000]`` and labels ``[B, N]``, padded with what the loss ignores."""
    longest = max(len(row["labels"]) for row in rows)
    padded = torch.full((len(rows), longest), IGNORED)
    for place, row in enumerate(rows):
        padded[place, : len(row["labels"])] = torch.tensor(row["labels"])
    return {"input_features": torch.stack([row["input_features"] for row in rows]),
            "labels": padded}  # fmt: skip
