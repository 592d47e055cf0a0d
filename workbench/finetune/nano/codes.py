"""The language model's training data: codes, characters and their times, per utterance."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from workbench.files import atomic_path
from workbench.finetune.nano.codec import FRAME_SAMPLES, encode_latents, quantize, split_quantizers
from workbench.finetune.nano.crops import frame_phones
from workbench.finetune.nano.dataset import Shard, shard_numbers
from workbench.finetune.nano.speech import Utterance
from workbench.finetune.nano.tokenizer import CHARACTERS, SPEAKERS, SPECIALS

CHARACTER_IDS = {
    character: position + len(SPECIALS) + len(SPEAKERS)
    for position, character in enumerate(CHARACTERS)
}
BATCH = 16
SORTED_OVER = 64


@dataclass(frozen=True)
class CodedUtterance:
    """One utterance as the language model sees it.

    ``codes`` ``[T, K]`` int16; ``phones`` ``[T, 4]`` uint8; ``characters`` ``[C]`` token ids;
    ``times`` ``[C, 2]`` start and end of each character in frames; ``word_ends`` ``[C]`` the
    position of the last character of each character's word. The first ``untold`` frames are in no
    loss, since nothing before them tells in whose voice they are.
    """

    speaker: int
    codes: np.ndarray
    phones: np.ndarray
    characters: np.ndarray
    times: np.ndarray
    word_ends: np.ndarray
    untold: int = 0


def character_times(utterance: Utterance, offset: int) -> tuple[np.ndarray, np.ndarray]:
    """When each character is spoken, in frames ``[C, 2]``, and its word's last character ``[C]``.

    A word's time is shared evenly by its letters; a comma and the spaces get what is between.
    ``offset`` samples of silence come before the utterance.
    """
    starts = np.concatenate([[0], utterance.phone_ends[:-1]])
    text = utterance.text
    times = np.zeros((len(text), 2))
    word_ends = np.zeros(len(text), np.int64)
    position, before = 0, 0.0
    for number, word in enumerate(text.split()):
        letters = len(word.rstrip(","))
        spoken = np.flatnonzero(utterance.phone_words == number)
        first, last = float(starts[spoken[0]]), float(utterance.phone_ends[spoken[-1]])
        if number:  # the space (and comma) before this word
            gap = position - (2 if text[position - 2] == "," else 1)
            times[gap:position] = (before, first)
        edges = np.linspace(first, last, letters + 1)
        times[position : position + letters] = np.stack([edges[:-1], edges[1:]], axis=1)
        word_ends[position : position + letters] = position + letters - 1
        before = last
        for extra in range(position + letters, min(position + len(word) + 1, len(text))):
            word_ends[extra] = extra
        position += len(word) + 1
    return (times + offset) / FRAME_SAMPLES, word_ends


@torch.no_grad()
def encode_shard(model: Any, shard: Shard, path: Path, seed: int, device: str = "cpu") -> None:
    """Writes the codes of one shard, each utterance at a random offset to the frame grid.

    In float32, as an engine encodes references: in bfloat16 codes come out differently.
    """
    source = np.random.default_rng(seed)
    offsets = source.integers(0, FRAME_SAMPLES, len(shard))
    lengths = np.diff(shard.index["sample_starts"]) + offsets
    order = np.argsort(lengths, kind="stable")
    codes: list[np.ndarray] = [np.zeros(0)] * len(shard)
    for first in range(0, len(order), BATCH):
        chosen = order[first : first + BATCH]
        frames = -(-int(lengths[chosen].max()) // FRAME_SAMPLES)
        audio = np.zeros((len(chosen), 1, frames * FRAME_SAMPLES), np.float32)
        for row, position in enumerate(chosen):
            samples = shard.utterance(int(position)).samples
            audio[row, 0, offsets[position] : offsets[position] + len(samples)] = samples
        latents = encode_latents(model, torch.from_numpy(audio).to(device))
        parts = [quantize(part, latents, False)[1] for part in split_quantizers(model)]
        made = torch.cat(parts, dim=1).transpose(1, 2).cpu().numpy().astype(np.int16)
        for row, position in enumerate(chosen):
            codes[position] = made[row, : -(-int(lengths[position]) // FRAME_SAMPLES)]
    _write(shard, codes, offsets, path)


def label_all(speech: Path, folder: Path, codebooks: int) -> int:
    """Writes every speech shard's labels with all codes 1, to train the alignment before a codec.

    Returns the number of shards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = shard_numbers(speech)
    for number in numbers:
        path = folder / f"codes-0-{number:03d}.npz"
        if not path.is_file():
            shard = Shard.read(speech, number)
            offsets = np.random.default_rng(number).integers(0, FRAME_SAMPLES, len(shard))
            lengths = np.diff(shard.index["sample_starts"]) + offsets
            frames = -(-lengths // FRAME_SAMPLES)
            codes = [np.ones((int(count), codebooks), np.int16) for count in frames]
            _write(shard, codes, offsets, path)
    return len(numbers)


def _write(shard: Shard, codes: list[np.ndarray], offsets: np.ndarray, path: Path) -> None:
    characters, times, ends, phones = [], [], [], []
    for position in range(len(shard)):
        utterance = shard.utterance(position)
        offset = int(offsets[position])
        spans, word_ends = character_times(utterance, offset)
        characters.append(np.array([CHARACTER_IDS[c] for c in utterance.text], np.uint8))
        times.append(spans.astype(np.float32))
        ends.append(word_ends.astype(np.int16))
        frames = len(codes[position])
        labels = frame_phones(utterance.phones, utterance.phone_ends, frames, -offset)
        phones.append(labels.astype(np.uint8))
    with atomic_path(path) as temporary:
        np.savez(
            temporary,
            speakers=shard.index["speakers"],
            frame_starts=np.concatenate([[0], np.cumsum([len(part) for part in codes])]),
            character_starts=np.concatenate([[0], np.cumsum([len(part) for part in characters])]),
            codes=np.concatenate(codes),
            phones=np.concatenate(phones),
            characters=np.concatenate(characters),
            times=np.concatenate(times),
            word_ends=np.concatenate(ends),
        )


def encode_all(
    model: Any,
    speech: Path,
    folder: Path,
    device: str = "cpu",
    passes: int = 1,
    session_s: float = math.inf,
) -> bool:
    """Encodes every speech shard that has no codes yet, ``passes`` times at other offsets.

    Begins no shard after ``session_s``; True when all are done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(number, again) for again in range(passes) for number in shard_numbers(speech)]
    ends = time.monotonic() + session_s
    for number, again in tqdm(jobs, desc="codes", unit="shard"):
        path = folder / f"codes-{again}-{number:03d}.npz"
        if path.is_file():
            continue
        if time.monotonic() > ends:
            return False
        shard = Shard.read(speech, number)
        encode_shard(model, shard, path, seed=1000 * again + number, device=device)
    return True


def read_codes(path: Path) -> list[CodedUtterance]:
    """The utterances of one file of codes."""
    with np.load(path) as file:
        stored = dict(file)
    utterances = []
    for position, speaker in enumerate(stored["speakers"]):
        frames = slice(*stored["frame_starts"][position : position + 2])
        text = slice(*stored["character_starts"][position : position + 2])
        utterances.append(
            CodedUtterance(
                int(speaker),
                stored["codes"][frames],
                stored["phones"][frames],
                stored["characters"][text],
                stored["times"][text],
                stored["word_ends"][text],
            )
        )
    return utterances
