"""Batches for whisper-nano: windows of speech with noise, their tokens, phones and word places."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.finetune.nano.codec import FRAME_SAMPLES, PHONES_PER_FRAME
from workbench.finetune.nano.codes import character_times
from workbench.finetune.nano.crops import frame_phones
from workbench.finetune.nano.dataset import Shard, shard_numbers
from workbench.finetune.nano.speech import RATE_HZ
from workbench.finetune.nano.whisper import MEL_BINS, POSITIONS
from workbench.finetune.nano.whisper_pauses import Spoken, begins_word, parted, pause_samples
from workbench.finetune.nano.whisper_tokenizer import END

HOP = RATE_HZ // 100  # samples of a mel frame, 10 ms
PLACE = FRAME_SAMPLES // PHONES_PER_FRAME  # samples of an encoder position, 20 ms
WINDOW = POSITIONS * PLACE  # 30 s
UNKNOWN = 255  # the phone of speech whose phones nobody knows
BUCKET = 8  # batches that are sorted by length together
GUIDE_MARGIN = 2  # positions before and after a token's time that still count as its place
# Lengths are rounded up to these: CPUs make their matrix kernels anew for each shape.
POSITION_STEP, TOKEN_STEP = 16, 8
IGNORED = -100


@dataclass(frozen=True)
class DataRecipe:
    """How batches are drawn; shares are probabilities."""

    utterances: int = 16  # in a batch of short windows
    windows: int = 2  # in a batch of 30 s windows
    window_share: float = 0.03  # of the batches are of 30 s
    late_window_share: float = 0.25  # once ``late`` of the run is over
    late: float = 0.72
    join_share: float = 0.12  # of the short windows hold two utterances
    pause_share: float = 0.15  # of the utterances have pauses between their words
    begun_share: float = 0.12  # of them aren't finished
    silence_share: float = 0.015  # of the windows hold no speech
    timestamp_share: float = 0.5  # of the transcripts have timestamps
    noise_share: float = 0.5
    tempo_share: float = 0.4


@dataclass(frozen=True)
class Batch:
    """Tensors of one training step: ``B`` windows of ``P`` positions (20 ms), ``N`` tokens.

    ``features`` ``[B, 80, 2 P]`` log-mel; ``tokens`` ``[B, N]`` decoder input; ``targets``
    ``[B, N]`` what follows each (-100: nothing); ``phones`` ``[B, P]`` (-100: unknown);
    ``guides`` ``[B, N, 2]`` where the next token is spoken, 0 0 where unknown.
    """

    features: Tensor
    tokens: Tensor
    targets: Tensor
    phones: Tensor
    guides: Tensor

    def to(self, device: str) -> Batch:
        """The same batch on ``device``."""
        return Batch(**{name: value.to(device) for name, value in vars(self).items()})


@dataclass
class Window:
    """One row of a batch before its features: utterances at their offsets, in samples."""

    length: int
    parts: list[tuple[Spoken, int, float]] = field(default_factory=list)  # offset, tempo
    timestamps: bool = False


class SpeechSource:
    """All utterances of several folders of shards."""

    def __init__(self, folders: list[Path], tokenizer: Any, recipe: DataRecipe) -> None:
        self.folders, self.recipe, self.tokenizer = folders, recipe, tokenizer
        self.utterances: list[Spoken] = []
        self._read: set[tuple[Path, int]] = set()
        self.refresh()

    def refresh(self) -> None:
        """Opens the shards written since."""
        for folder in self.folders:
            for number in shard_numbers(folder):
                if (folder, number) not in self._read:
                    self._read.add((folder, number))
                    self.utterances += read_shard(Shard.read(folder, number), self.tokenizer)

    def plans(self, source: np.random.Generator, fraction: float) -> list[list[Window]]:
        """``BUCKET`` batches, the short windows of each of about one length."""
        recipe = self.recipe
        share = recipe.window_share if fraction < recipe.late else recipe.late_window_share
        long = int((source.random(BUCKET) < share).sum())
        short = [self._short(source) for _ in range((BUCKET - long) * recipe.utterances)]
        short.sort(key=lambda window: window.length)
        batches = [
            short[first : first + recipe.utterances]
            for first in range(0, len(short), recipe.utterances)
        ]
        batches += [[self._long(source) for _ in range(recipe.windows)] for _ in range(long)]
        return [batches[position] for position in source.permutation(len(batches))]

    def _short(self, source: np.random.Generator) -> Window:
        count = 1 + int(source.random() < self.recipe.join_share)
        lead = int(source.integers(0, RATE_HZ // 2))
        window = self._filled(source, count, lead, WINDOW)
        if source.random() < self.recipe.silence_share:
            window.parts.clear()
        window.length = min(window.length + int(source.integers(0, RATE_HZ // 2)), WINDOW)
        return window

    def _long(self, source: np.random.Generator) -> Window:
        many = source.random() < 0.5
        count = int(source.integers(2, 12)) if many else 1
        window = self._filled(source, count, int(source.integers(0, RATE_HZ)), WINDOW)
        if source.random() < self.recipe.silence_share:
            window.parts.clear()
        window.length = WINDOW
        return window

    def _filled(self, source: np.random.Generator, count: int, at: int, most: int) -> Window:
        """``count`` utterances after each other with pauses, as far as they fit whole."""
        window = Window(at, timestamps=bool(source.random() < self.recipe.timestamp_share))
        for _ in range(count):
            spoken = self.utterances[source.integers(len(self.utterances))]
            tempo = 1.0
            if source.random() < self.recipe.tempo_share:
                tempo = float(source.uniform(0.88, 1.14))
            pause, begun = source.random(2) < (self.recipe.pause_share, self.recipe.begun_share)
            parts: list[tuple[Spoken, int, float]] = []
            for part in parted(spoken, source, bool(pause), bool(begun)):
                at += pause_samples(source) if parts else 0
                parts.append((part, at, tempo))
                at += int(part.length / tempo)
            if at > most:
                break
            window.parts += parts
            window.length = at
            at += int(source.integers(RATE_HZ // 10, RATE_HZ * 3 // 2))
        return window


def read_shard(shard: Shard, tokenizer: Any) -> list[Spoken]:
    """The utterances of ``shard`` with their tokens and the tokens' places."""
    found = []
    texts = [f" {text}" for text in shard.index["texts"].tolist()]
    encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    for position, (tokens, offsets) in enumerate(
        zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
    ):
        utterance = shard.utterance(position)
        spans = None
        if utterance.phones[0] != UNKNOWN:
            times = character_times(utterance, 0)[0] * FRAME_SAMPLES
            edges = np.array(offsets) - 1  # the text has a space before it
            letters = np.array([letter != " " for letter in utterance.text])
            first = np.clip(edges[:, 0], 0, len(times) - 1)
            first += ~letters[first]  # a token's own space is no part of its sound
            last = np.clip(edges[:, 1] - 1, 0, len(times) - 1)
            spans = np.stack([times[np.minimum(first, last), 0], times[last, 1]], axis=1)
        length = len(utterance.samples)
        words = begins_word(tokenizer, tokens)
        found.append(Spoken(shard, position, length, np.array(tokens), spans, words))
    return found


class Queue:
    """Step ``n``'s batch, whatever step training resumed at."""

    def __init__(self, source: SpeechSource) -> None:
        self._source = source
        self._plans: list[list[Window]] = []
        self._filled = -1

    def at(self, step: int, fraction: float, random: Any) -> Batch:
        """The batch of ``step``; ``random(n)`` is the generator of the ``n``-th draw."""
        if step // BUCKET != self._filled:
            self._filled = step // BUCKET
            self._plans = self._source.plans(random(1_000_000 + self._filled), fraction)
        plan = self._plans[step % BUCKET]
        return collate(plan, self._source.tokenizer, random(step), self._source.recipe)


def collate(
    windows: list[Window], tokenizer: Any, source: np.random.Generator, recipe: DataRecipe
) -> Batch:
    """Sound, noise and transcripts of ``windows``."""
    longest = -(-max(window.length for window in windows) // PLACE) + 4
    positions = min(_rounded_up(longest, POSITION_STEP), POSITIONS)
    audio = np.zeros((len(windows), positions * PLACE), np.float32)
    phones = np.full((len(windows), positions), IGNORED)
    ends = []
    rows = [transcript(window, tokenizer) for window in windows]
    size = _rounded_up(max(len(tokens) for tokens, _, _ in rows), TOKEN_STEP)
    end = tokenizer.convert_tokens_to_ids(END)
    inputs, targets = np.full((2, len(windows), size), end)
    targets[:] = IGNORED
    guides = np.zeros((len(windows), size, 2), np.int64)
    for row, (window, (tokens, wanted, places)) in enumerate(zip(windows, rows, strict=True)):
        inputs[row, : len(tokens)] = tokens
        targets[row, : len(tokens)] = wanted
        guides[row, : len(tokens)] = places
        stop = _render(window, audio[row], phones[row])
        if window.length == WINDOW:  # speech, then the padding of a recording that has ended
            stop = min(stop + int(source.integers(0, RATE_HZ)), len(audio[row]))
        else:
            stop = min(window.length, len(audio[row]))
        _disturb(audio[row, :stop], source, recipe)
        ends.append(stop)
    features = log_mel(torch.from_numpy(audio))
    for row, stop in enumerate(ends):
        # transformers pads the sound before taking its features, faster-whisper pads these.
        if source.random() < 0.5:
            features[row, :, -(-stop // HOP) :] = 0.0
    return Batch(
        features,
        torch.from_numpy(inputs),
        torch.from_numpy(targets),
        torch.from_numpy(phones),
        torch.from_numpy(guides),
    )


def _rounded_up(length: int, step: int) -> int:
    return -(-length // step) * step


def transcript(
    window: Window, tokenizer: Any
) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """Decoder input, what follows each token of it, and where that is spoken (positions)."""
    special = _special(tokenizer)
    start, bare, end = special["start"], special["bare"], special["end"]
    stamp = bare + 1  # <|0.00|>
    tokens, places = [start], [(0, 0)]
    if not window.parts:
        return [start, bare], [special["silence"], end], [(0, 0), (0, 0)]
    if not window.timestamps:
        tokens.append(bare)
        places.append((0, 0))
    for spoken, at, tempo in window.parts:
        if window.timestamps:
            tokens.append(stamp + round(at / PLACE))
            places.append((0, 0))
        tokens += spoken.tokens.tolist()
        if spoken.spans is None:
            places += [(0, 0)] * len(spoken.tokens)
        else:
            for first, last in (at + spoken.spans / tempo) / PLACE:
                places.append((int(first) - GUIDE_MARGIN, int(last) + 1 + GUIDE_MARGIN))
        if window.timestamps:
            tokens.append(stamp + round((at + spoken.length / tempo) / PLACE))
            places.append((0, 0))
    return tokens, [*tokens[1:], end], [*places[1:], (0, 0)]


def log_mel(audio: Tensor) -> Tensor:
    """Whisper's features ``[B, 80, F]`` of ``[B, T]`` at 24 kHz, without resampling to 16 kHz.

    A transform over 600 samples at 24 kHz has the bins of one over 400 at 16 kHz and 2.25 times
    the power; the bins above 8 kHz are dropped.
    """
    window = torch.hann_window(RATE_HZ // 40, device=audio.device)
    spectrum = torch.stft(audio, len(window), HOP, window=window, return_complex=True)
    power = spectrum[:, : len(window) // 3 + 1, :-1].abs().square() / 2.25
    mel = torch.einsum("mf,bft->bmt", _filters().to(audio.device), power)
    log = mel.clamp_min(1e-10).log10()
    log = torch.maximum(log, log.amax((1, 2), keepdim=True) - 8.0)
    return (log + 4.0) / 4.0


@cache
def _filters() -> Tensor:
    from transformers import WhisperFeatureExtractor

    filters = WhisperFeatureExtractor(feature_size=MEL_BINS).mel_filters  # [201, 80]
    return torch.from_numpy(np.ascontiguousarray(filters.T)).float()


_SPECIALS: dict[int, dict[str, int]] = {}


def _special(tokenizer: Any) -> dict[str, int]:
    if id(tokenizer) not in _SPECIALS:
        find = tokenizer.convert_tokens_to_ids
        _SPECIALS[id(tokenizer)] = {
            "start": find("<|startoftranscript|>"),
            "bare": find("<|notimestamps|>"),
            "silence": find("<|nocaptions|>"),
            "end": find(END),
        }
    return _SPECIALS[id(tokenizer)]


def _render(window: Window, audio: np.ndarray, phones: np.ndarray) -> int:
    """Puts the window's utterances into ``audio`` and ``phones``; where the last one ends."""
    phones[:] = 0
    stop = 0
    for spoken, at, tempo in window.parts:
        samples = spoken.samples()
        if tempo != 1.0:
            places = np.arange(int(len(samples) / tempo), dtype=np.float32) * tempo
            samples = np.interp(places, np.arange(len(samples)), samples).astype(np.float32)
        stop = min(at + len(samples), len(audio))
        audio[at:stop] = samples[: stop - at]
        first, last = at // PLACE, -(-stop // PLACE)
        if spoken.spans is None:
            phones[first:last] = IGNORED
            continue
        spoken_phones, inside = spoken.phones()
        ends = at - first * PLACE + inside / tempo
        labels = frame_phones(spoken_phones, ends, -(-(last - first) // PHONES_PER_FRAME))
        phones[first:last] = labels.reshape(-1)[: last - first]
    return stop


def _disturb(audio: np.ndarray, source: np.random.Generator, recipe: DataRecipe) -> None:
    """Another level, and now and then noise: white, or falling with frequency."""
    speech = float(np.sqrt(np.mean(np.square(audio)))) or 0.05
    if source.random() < recipe.noise_share:
        noise = source.standard_normal(len(audio), np.float32)
        if source.random() < 0.5:
            noise[1:] += noise[:-1]
            noise[2:] += noise[:-2]
        noise *= speech * 10 ** (-source.uniform(8, 45) / 20) / max(float(noise.std()), 1e-9)
        audio += noise
    audio *= 10 ** (source.uniform(-20, 6) / 20)
    np.clip(audio, -1, 1, out=audio)
