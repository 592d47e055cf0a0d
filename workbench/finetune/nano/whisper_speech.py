"""More speech for whisper-nano: the codec's and csm-nano's own, so that it understands them too."""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from workbench.files import atomic_path
from workbench.finetune.nano.codec import FRAME_SAMPLES
from workbench.finetune.nano.dataset import Shard, shard_numbers, write_shard
from workbench.finetune.nano.domain import training_sentences
from workbench.finetune.nano.evaluate import assigned_voices, decode_codes, generate_codes
from workbench.finetune.nano.speech import Utterance
from workbench.finetune.nano.whisper_data import UNKNOWN
from workbench.models.checkpoint import find
from workbench.models.csm.load import load_csm

BATCH = 8
MADE_SEED = 5  # other sentences than the rest of the speech


def nano_voice() -> Any:
    """The shipped csm-nano with its codec, in float32."""
    checkpoint = find("csm-nano")
    loaded = load_csm(checkpoint, random=False, dtype=torch.float32, device=torch.device("cpu"))
    return loaded.model


@torch.no_grad()
def code_speech(
    codec: Any, speech: Path, folder: Path, every: int = 3, session_s: float = math.inf
) -> bool:
    """Every third shard of ``speech`` through the codec, labels kept; True when all are there."""
    folder.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + session_s
    for number in tqdm(shard_numbers(speech)[::every], desc="coded", unit="shard"):
        if number in shard_numbers(folder):
            continue
        if time.monotonic() > ends:
            return False
        shard = Shard.read(speech, number)
        starts = shard.index["sample_starts"]
        made = np.zeros(len(shard.samples), np.float32)
        order = np.argsort(np.diff(starts), kind="stable")
        for first in range(0, len(order), BATCH):
            rows = order[first : first + BATCH]
            lengths = [int(starts[row + 1] - starts[row]) for row in rows]
            frames = -(-max(lengths) // FRAME_SAMPLES)
            audio = np.zeros((len(rows), 1, frames * FRAME_SAMPLES), np.float32)
            for place, (row, length) in enumerate(zip(rows, lengths, strict=True)):
                audio[place, 0, :length] = shard.utterance(int(row)).samples
            codes = codec.encode(torch.from_numpy(audio)).audio_codes
            decoded = codec.decode(codes).audio_values[:, 0].float().numpy()
            for place, (row, length) in enumerate(zip(rows, lengths, strict=True)):
                made[starts[row] : starts[row] + length] = decoded[place, :length]
        _write(folder, number, made, shard.index)
    return True


def make_speech(
    model: Any,
    codec: Any,
    folder: Path,
    shards: int = 4,
    size: int = 250,
    session_s: float = math.inf,
) -> bool:
    """csm-nano speaks other sentences, all voices in turn; its phones are unknown.

    What it says is taken for what it was told to say; it errs in some words (see its card).
    """
    folder.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + session_s
    texts = list(itertools.islice(training_sentences(MADE_SEED), shards * size))
    for number in tqdm(range(shards), desc="made", unit="shard"):
        if number in shard_numbers(folder):
            continue
        if time.monotonic() > ends:
            return False
        part = texts[number * size : (number + 1) * size]
        speakers = assigned_voices(size)
        codes = generate_codes(model, part, speakers, batch=50, seed=number)
        spoken = []
        for text, speaker, (made, ended) in zip(part, speakers, codes, strict=True):
            if not ended or not len(made):
                continue
            samples = decode_codes(codec, made)
            phones, word = np.array([UNKNOWN], np.uint8), np.array([-1], np.int16)
            length = np.array([len(samples)], np.int32)
            spoken.append(Utterance(text, speaker, samples, phones, length, word))
        write_shard(folder, number, spoken)
    return True


def _write(folder: Path, number: int, samples: np.ndarray, index: dict[str, np.ndarray]) -> None:
    with atomic_path(folder / f"speech-{number:03d}.npy") as temporary:
        np.save(temporary, np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16))
    with atomic_path(folder / f"speech-{number:03d}.npz") as temporary:
        np.savez(temporary, **index)  # type: ignore[arg-type]
