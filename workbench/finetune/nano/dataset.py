"""Speech on disk: shards of 16-bit samples with their phone and word labels, memory-mapped."""

from __future__ import annotations

import contextlib
import itertools
import math
import multiprocessing
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from workbench.errors import InputError
from workbench.files import atomic_path
from workbench.finetune.nano.domain import open_sentences, training_sentences
from workbench.finetune.nano.speech import NEW_SPEEDS, VOICES, Utterance, flite, new_voice

SHARD_UTTERANCES = 500
MEAN_UTTERANCE_S = 2.66


@dataclass(frozen=True)
class Shard:
    """Utterances of one file pair, read through a memory map."""

    samples: np.ndarray  # [sum of lengths] int16
    index: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.index["texts"])

    def utterance(self, position: int) -> Utterance:
        """The utterance at ``position`` with its samples in [-1, 1]."""
        index = self.index
        first, last = index["sample_starts"][position : position + 2]
        start, stop = index["phone_starts"][position : position + 2]
        return Utterance(
            str(index["texts"][position]),
            int(index["speakers"][position]),
            self.samples[first:last].astype(np.float32) / 32768,
            index["phones"][start:stop],
            index["phone_ends"][start:stop],
            index["phone_words"][start:stop],
        )

    @staticmethod
    def read(folder: Path, number: int) -> Shard:
        """Opens shard ``number`` of ``folder``."""
        samples_path, index_path = _paths(folder, number)
        if not index_path.is_file():
            raise InputError(f"no speech shard {number} in {folder}", "run the stage 'data' first")
        with np.load(index_path) as stored:
            return Shard(np.load(samples_path, mmap_mode="r"), dict(stored))


def shard_numbers(folder: Path) -> list[int]:
    """The complete shards in ``folder``, in order."""
    return sorted(int(path.stem.split("-")[1]) for path in folder.glob("speech-*.npz"))


def read_all(folder: Path) -> Iterator[Utterance]:
    """Every utterance of every shard, in order."""
    for number in shard_numbers(folder):
        shard = Shard.read(folder, number)
        for position in range(len(shard)):
            yield shard.utterance(position)


def generate(
    folder: Path,
    hours: float,
    open_hours: float = 0.0,
    seed: int = 1,
    workers: int = 2,
    shard_utterances: int = SHARD_UTTERANCES,
    session_s: float = math.inf,
    new_voices: float = 0.0,
) -> bool:
    """Writes about ``hours`` of speech of the grammar and ``open_hours`` of other words.

    The sentences and the voices depend only on ``seed``. A share ``new_voices`` of the utterances
    is played faster or slower, so that it is of voices beyond ``VOICES``. Shards already there
    stay; begins no shard after ``session_s``; True when all are there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts: list[list[str]] = []
    for sentences, wanted in (
        (training_sentences(seed), hours),
        (open_sentences(seed), open_hours),
    ):
        shards = max(1, round(wanted * 3600 / MEAN_UTTERANCE_S / shard_utterances)) if wanted else 0
        texts += [list(itertools.islice(sentences, shard_utterances)) for _ in range(shards)]
    count = len(texts)
    done = set(shard_numbers(folder))
    jobs = [(number, texts[number]) for number in range(count) if number not in done]
    write = partial(_write_shard, folder, seed, new_voices)
    ends = time.monotonic() + session_s
    with tqdm(total=count, initial=count - len(jobs), desc="speech", unit="shard") as bar:
        if workers <= 1:
            for job in jobs:
                if time.monotonic() > ends:
                    return False
                write(job)
                bar.update()
            return True
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            for _ in pool.imap_unordered(write, jobs):
                bar.update()
                if time.monotonic() > ends:
                    break  # leaving the block ends the workers; unfinished shards leave no trace
    return len(shard_numbers(folder)) >= count


def _write_shard(folder: Path, seed: int, new_voices: float, job: tuple[int, list[str]]) -> None:
    number, texts = job
    source = random.Random(seed * 100_003 + number)
    speakers = source.choices(range(len(VOICES)), [voice.share for voice in VOICES], k=len(texts))
    speech = flite()
    utterances = []
    for text, speaker in zip(texts, speakers, strict=True):
        with contextlib.suppress(InputError):  # words that flite reads as several
            spoken = speech.say(text, speaker)
            if new_voices and source.random() < new_voices:
                spoken = new_voice(spoken, source.randrange(len(NEW_SPEEDS)))
            utterances.append(spoken)
    write_shard(folder, number, utterances)


def write_shard(folder: Path, number: int, utterances: list[Utterance]) -> None:
    """Writes ``utterances`` as shard ``number`` of ``folder``."""
    samples_path, index_path = _paths(folder, number)
    samples = np.concatenate([utterance.samples for utterance in utterances])
    with atomic_path(samples_path) as temporary:
        np.save(temporary, np.rint(samples * 32767).astype(np.int16))
    with atomic_path(index_path) as temporary:
        np.savez(
            temporary,
            texts=np.array([utterance.text for utterance in utterances]),
            speakers=np.array([utterance.speaker for utterance in utterances], np.uint8),
            sample_starts=_starts([len(utterance.samples) for utterance in utterances]),
            phone_starts=_starts([len(utterance.phones) for utterance in utterances]),
            phones=np.concatenate([utterance.phones for utterance in utterances]),
            phone_ends=np.concatenate([utterance.phone_ends for utterance in utterances]),
            phone_words=np.concatenate([utterance.phone_words for utterance in utterances]),
        )


def _starts(lengths: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _paths(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"speech-{number:03d}.npy", folder / f"speech-{number:03d}.npz"
