"""What an adapter did: nearer to the voice, and as easy to understand?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

import workbench
from workbench.audio import Audio
from workbench.engines.speech import Speech
from workbench.errors import InputError
from workbench.finetune.recordings import Recording
from workbench.measure.statistics import Interval, bootstrap_interval
from workbench.quality.recognizer import SphinxRecognizer
from workbench.quality.speaker import DEFAULT, SpeakerEncoder, load_speaker_encoder, similarity
from workbench.quality.wer import (
    WerIncrease,
    WordErrorRate,
    word_error_increase,
    word_error_rate,
)

BASE, ADAPTED, TARGET = "base", "adapted", "recordings"


@dataclass(frozen=True)
class VoiceResult:
    """Base and adapted model on the same held-out sentences and seeds.

    ``similarities`` has each clip's to the mean of the voice's recordings, and under
    ``recordings`` each recording's own to the others': as near as one gets. ``gain`` is the
    adapted model's less the base's, pair by pair.
    """

    texts: tuple[str, ...]
    clips: dict[str, tuple[Speech, ...]]
    similarities: dict[str, tuple[float, ...]]
    wer: dict[str, WordErrorRate]
    wer_increase: WerIncrease
    target: Audio

    @property
    def gain(self) -> Interval:
        """Mean difference of the similarity with its interval."""
        pairs = zip(self.similarities[ADAPTED], self.similarities[BASE], strict=True)
        return bootstrap_interval([after - before for after, before in pairs], np.mean)

    @property
    def intervals(self) -> dict[str, Interval]:
        """Mean similarity of each with its interval."""
        return {
            name: bootstrap_interval(values, np.mean) for name, values in self.similarities.items()
        }

    @property
    def players(self) -> dict[str, Audio]:
        """What to listen to: a recording of the voice, and the first sentence by both."""
        made = {name: clips[0] for name, clips in self.clips.items()}
        return {
            "a recording of the voice": self.target,
            **{f"{name}: {clip.text}": clip for name, clip in made.items()},
        }

    @property
    def audible(self) -> bool:
        """Whether every clip of the adapted model can be heard."""
        return all(clip.audible_onset_s is not None for clip in self.clips[ADAPTED])

    @property
    def nearer(self) -> bool:
        """Whether the adapted voice is nearer, beyond chance."""
        return self.gain.low > 0

    @property
    def as_clear(self) -> bool:
        """Whether nothing says that words got harder to understand."""
        return self.wer_increase.interval[0] <= 0

    @property
    def finding(self) -> str:
        """The result in a sentence."""
        before, after = (np.mean(self.similarities[name]) for name in (BASE, ADAPTED))
        nearer = "nearer to the voice" if self.nearer else "no nearer to the voice"
        return (
            f"Adapted speech is {nearer}: similarity {before:.2f} to {after:.2f}; "
            f"word error rate {self.wer[BASE].value:.3f} to {self.wer[ADAPTED].value:.3f}"
        )

    def rows(self) -> list[dict[str, Any]]:
        """A row for each of base, adapted and recordings."""
        made = []
        for name, found in self.intervals.items():
            row: dict[str, Any] = {"speech": name, "clips": found.n}
            row["similarity"] = f"{found.value:.3f} ({found.low:.3f}–{found.high:.3f})"
            rate = self.wer.get(name)
            row["word error rate"] = (
                f"{rate.value:.3f} ({rate.interval[0]:.3f}–{rate.interval[1]:.3f})" if rate else ""
            )
            made.append(row)
        return made


def evaluate_voice(
    base: str,
    adapter: Path | str,
    recordings: Sequence[Recording],
    texts: Sequence[str],
    *,
    voice: int = 0,
    device: str | None = None,
    seed: int = 0,
    encoder: str = DEFAULT,
) -> VoiceResult:
    """Speaks ``texts`` with ``base`` alone and with ``adapter``, and compares.

    ``recordings`` are of the voice, best such that the adapter wasn't trained on. ``encoder`` is
    the speaker encoder that judges; a clip too short to tell its speaker has a similarity of 0.
    Raises InputError for fewer than two recordings or texts.
    """
    if len(recordings) < 2 or len(texts) < 2:
        raise InputError(
            f"{len(recordings)} recordings and {len(texts)} texts", "use at least two of each"
        )
    engines = {
        BASE: workbench.load(base, device=device),
        ADAPTED: workbench.load(base, adapter=adapter, device=device),
    }
    clips = {
        name: tuple(
            engine.synthesize(text, voice=voice, seed=seed + number)
            for number, text in enumerate(tqdm(texts, desc=name, leave=False))
        )
        for name, engine in engines.items()
    }
    judge, recognizer = load_speaker_encoder(encoder), SphinxRecognizer()
    sounds = [Audio.read(recording.path) for recording in recordings]
    embedded = np.stack([judge.embed(sound) for sound in sounds])
    centre = _centre(embedded)
    heard = {name: [recognizer.transcribe(clip) for clip in made] for name, made in clips.items()}
    similarities = {
        name: tuple(_similarity(judge, clip, centre) for clip in made)
        for name, made in clips.items()
    }
    similarities[TARGET] = tuple(
        similarity(one, _centre(np.delete(embedded, place, axis=0)))
        for place, one in enumerate(embedded)
    )
    return VoiceResult(
        tuple(texts),
        clips,
        similarities,
        {name: word_error_rate(texts, said) for name, said in heard.items()},
        word_error_increase(texts, heard[BASE], heard[ADAPTED]),
        sounds[0],
    )


def through_codec(engine: str, recording: Recording) -> dict[str, Audio]:
    """A recording, and what the engine's codec makes of it: the best that a voice can sound."""
    codec = workbench.load(engine).codec
    rate_hz = int(codec.config.sampling_rate)
    audio = Audio.read(recording.path).resampled(rate_hz)
    sound = torch.from_numpy(audio.samples)[None, None]
    first = next(codec.parameters())
    with torch.inference_mode():
        codes = codec.encode(sound.to(first.device, first.dtype)).audio_codes
        made = codec.decode(codes).audio_values[0, 0, : len(audio)]
    return {"recording": audio, "through the codec": Audio(made.float().cpu().numpy(), rate_hz)}


def _similarity(judge: SpeakerEncoder, clip: Audio, centre: np.ndarray) -> float:
    try:
        return similarity(judge.embed(clip), centre)
    except InputError:
        return 0.0


def _centre(embedded: np.ndarray) -> np.ndarray:
    """Unit mean of unit vectors ``[N, D]``."""
    mean = embedded.mean(axis=0)
    return mean / np.linalg.norm(mean)
